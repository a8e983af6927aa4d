-- What the scripts share; put in front of each of them.
--
-- KEYS[1]  prefix of the network with its hash tag, `<prefix>:{<network>}:`. Every other key is made from it, so all are
--          in one slot and the script goes to the node that has it.
-- ARGV[1]  milliseconds that a complete or orphaned block is remembered.
--
-- A task is packed as `kind number hash attempts recoveries deliveries firstEnqueuedMs failedNodes first-last`, so that
-- the tasks of a block differ at their end alone; the numbers `attempts` to `deliveries` are as they were when its entry
-- was added: what happened to the entry since is in the group's own delivery count.
--
-- Nothing here may be the first write of a script that has to work at the server's limit of memory: Redis refuses a
-- first write that needs memory and lets later ones pass. Every settlement therefore begins with XACK.

local P = KEYS[1]
local KEEP = ARGV[1]
local GROUP = 'workers'
local CLASSES = { 'rf', 'rb', 'pf', 'pb', 'vf', 'vb' }

local call = redis.call

local function now_us()
  local time = call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function whole(number)
  return string.format('%d', number)
end

local function unpack_task(body)
  local kind, number, hash, attempts, recoveries, deliveries, at, nodes, first, last =
    string.match(body, '^(%S+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%S+) (%d+)%-(%d+)$')
  return {
    kind = kind, number = number, hash = hash, first = tonumber(first), last = tonumber(last),
    attempts = tonumber(attempts), recoveries = tonumber(recoveries), deliveries = tonumber(deliveries),
    at = at, nodes = nodes,
    id = kind .. ':' .. number .. ':' .. string.sub(hash, 3, 10) .. ':' .. first .. '-' .. last,
    block = kind .. ':' .. number .. ':' .. hash,
  }
end

local function pack_task(task)
  return table.concat({
    task.kind, task.number, task.hash, task.attempts, task.recoveries, task.deliveries, task.at, task.nodes,
    task.first .. '-' .. task.last,
  }, ' ')
end

local function count(counter, by)
  call('HINCRBY', P .. 'stats', counter, by)
end

-- One member at most: one ring wakes one waiter, and a ring that nobody waits for is kept for the next.
local function ring()
  call('ZADD', P .. 'bell', 0, 'ring')
end

-- The group is made at 0, never at $, which would miss what came before it.
local function add(class, id, body)
  local key = P .. 's:' .. class
  local entry = call('XADD', key, 'NOMKSTREAM', '*', 't', body)
  if not entry then
    call('XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM')
    entry = call('XADD', key, '*', 't', body)
  end
  call('HSET', P .. 'u', id, class .. ' ' .. entry)
end

local function delay(class, task, ready_ms, token)
  local earliest = call('ZRANGE', P .. 'd', 0, 0, 'WITHSCORES')
  call('ZADD', P .. 'd', ready_ms, task.id)
  call('HSET', P .. 'dt', task.id, class .. ' ' .. pack_task(task))
  call('HSET', P .. 'u', task.id, 'delayed ' .. token)
  if not earliest[2] or ready_ms < tonumber(earliest[2]) then ring() end
end

local function bits(key, first, last)
  return call('BITCOUNT', key, first, last, 'BIT')
end

local function write_bits(key, first, last, bit)
  while first <= last and first % 8 ~= 0 do
    call('SETBIT', key, first, bit)
    first = first + 1
  end
  local bytes = math.floor((last + 1 - first) / 8)
  if bytes > 0 then
    call('SETRANGE', key, first / 8, string.rep(string.char(bit * 255), bytes))
    first = first + bytes * 8
  end
  while first <= last do
    call('SETBIT', key, first, bit)
    first = first + 1
  end
end

-- Only the bits between `first` and `last` that are 0 in the bitmap of done ones become 1 in that of dead ones.
local function write_dead(task)
  local made = 0
  for index = task.first, task.last do
    if call('GETBIT', P .. 'm:' .. task.block, index) == 0 then
      made = made + 1 - call('SETBIT', P .. 'x:' .. task.block, index, 1)
    end
  end
  return made
end

local function clear_dead(block, first, last)
  local cleared = bits(P .. 'x:' .. block, first, last)
  if cleared > 0 then write_bits(P .. 'x:' .. block, first, last, 0) end
  return cleared
end

local function remember(block)
  for _, name in ipairs({ 'b:', 'm:', 'x:' }) do call('PEXPIRE', P .. name .. block, KEEP) end
end

local function forever(block)
  for _, name in ipairs({ 'b:', 'm:', 'x:' }) do call('PERSIST', P .. name .. block) end
end

local function tell(block, class, total, state)
  call('XADD', P .. 'blocks', '*', 'b', table.concat({ block, class, total, state }, ' '))
end

local function mode_of(class)
  return string.sub(class, 2, 2) == 'f' and 'forwards' or 'backwards'
end

local function plan_verify(block, class, total, delay_ms)
  local kind, number, hash = string.match(block, '^([^:]+):([^:]+):(.+)$')
  if delay_ms == '' or total == 0 or kind == 'verify' then return end
  local now = math.floor(now_us() / 1000)
  local task = {
    kind = 'verify', number = number, hash = hash, first = 0, last = total - 1,
    attempts = 0, recoveries = 0, deliveries = 0, at = whole(now), nodes = '-',
    id = 'verify:' .. number .. ':' .. string.sub(hash, 3, 10) .. ':0-' .. (total - 1),
    block = 'verify:' .. number .. ':' .. hash,
  }
  if call('HEXISTS', P .. 'u', task.id) == 1 then return end
  local verify = 'v' .. string.sub(class, 2, 2)
  call('DEL', P .. 'b:' .. task.block, P .. 'm:' .. task.block, P .. 'x:' .. task.block)
  call('HSET', P .. 'b:' .. task.block, 'state', 'open', 'total', total, 'done', 0, 'dead', 0, 'class', verify,
    'verify', '', 'mode', mode_of(class))
  delay(verify, task, now + tonumber(delay_ms), '0')
end

-- Complete or stuck, told once each time the block becomes so. The counts come from bits that changed, never from
-- messages: a plain counter completes blocks early when a task is enqueued again or settled twice.
local function judge(block)
  local key = P .. 'b:' .. block
  local known = call('HMGET', key, 'state', 'total', 'done', 'dead', 'class', 'verify', 'mode')
  local state, total, done, dead = known[1], tonumber(known[2]), tonumber(known[3]), tonumber(known[4])
  if state ~= 'open' and state ~= 'stuck' then return state end
  local becomes = nil
  if done >= total then
    becomes = 'complete'
  elseif state == 'open' and done + dead >= total then
    becomes = 'stuck'
  end
  if not becomes then return state end
  call('HSET', key, 'state', becomes)
  call('ZREM', P .. 'open:' .. known[7], block)
  if becomes == 'complete' then
    call('ZREM', P .. 'stuck', block)
    remember(block)
  elseif string.sub(block, 1, 7) ~= 'verify:' then
    call('ZADD', P .. 'stuck', string.match(block, '^[^:]+:([^:]+)'), block)
  end
  tell(block, known[5], total, becomes)
  plan_verify(block, known[5], total, known[6])
  return becomes
end

-- Only a bit that goes from 0 to 1 counts.
local function write_done(block, first, last)
  local key = P .. 'm:' .. block
  if first == last then return 1 - call('SETBIT', key, first, 1) end
  local fresh = last - first + 1 - bits(key, first, last)
  if fresh > 0 then write_bits(key, first, last, 1) end
  return fresh
end

-- `ranges` is first, last, first, last, and so on.
local function mark_done(block, ranges)
  local fresh = 0
  for index = 1, #ranges, 2 do fresh = fresh + write_done(block, ranges[index], ranges[index + 1]) end
  local key = P .. 'b:' .. block
  local known = call('HMGET', key, 'total', 'done', 'dead')
  local total, done, dead = tonumber(known[1]), tonumber(known[2]), tonumber(known[3])
  if not total or dead > 0 then
    local cleared = 0
    for index = 1, #ranges, 2 do cleared = cleared + clear_dead(block, ranges[index], ranges[index + 1]) end
    if not total then
      remember(block) -- its bits count when the block is opened again
      return
    end
    if cleared > 0 then dead = call('HINCRBY', key, 'dead', -cleared) end
  end
  if fresh > 0 then done = call('HINCRBY', key, 'done', fresh) end
  if done + dead >= total then judge(block) end
end

local function is_done(task)
  return bits(P .. 'm:' .. task.block, task.first, task.last) == task.last - task.first + 1
end

local function is_orphaned(task)
  return call('HGET', P .. 'b:' .. task.block, 'state') == 'orphaned'
end

-- Ends an entry for whoever has its token; XACK is the gate, and the first write.
local function remove(class, entry, id)
  local key = P .. 's:' .. class
  if call('XACK', key, GROUP, entry) == 0 then return false end
  call('XDEL', key, entry)
  call('HDEL', P .. 'u', id)
  return true
end

-- Class, entry and newest token of a task that is delivered, by what `u` says of it; nothing of any other.
local function delivered(place)
  return string.match(place or '', '^(%l%l) (%S+) (%d+)$')
end

-- Ends the delivery that has this token, if it is the newest of its task. Returns its class.
local function take(token, id)
  local class, entry, newest = delivered(call('HGET', P .. 'u', id))
  if not entry or newest ~= token then return nil end
  return remove(class, entry, id) and class
end

local function inter(class, task, code, message, token)
  local now = whole(math.floor(now_us() / 1000))
  local letter = call('XADD', P .. 'dlq', '*', 't', pack_task(task), 'c', class, 'e', code, 'm', message, 'at', now)
  call('HSET', P .. 'u', task.id, 'dead ' .. letter .. ' ' .. token)
  count('dead', 1)
  local made = write_dead(task)
  if call('EXISTS', P .. 'b:' .. task.block) == 0 then
    remember(task.block)
    return
  end
  if made > 0 then call('HINCRBY', P .. 'b:' .. task.block, 'dead', made) end
  judge(task.block)
end

local function leads(mode, office, token)
  if call('GET', P .. 'leader:' .. mode) ~= office then return false end
  return tonumber(token) >= tonumber(call('GET', P .. 'fence:' .. mode) or 0)
end

-- Entries of one consumer group again as old as they are now, by whoever holds them, in a stream whose clock went back.
local function restamp(key, group)
  local from = '-'
  while true do
    local found = redis.pcall('XPENDING', key, group, from, '+', 500)
    if found.err or #found == 0 then return end
    for _, item in ipairs(found) do
      call('XCLAIM', key, group, item[2], 0, item[1], 'IDLE', 0, 'JUSTID')
      from = '(' .. item[1]
    end
  end
end

-- The server's time in microseconds. A step back would stop idle times and delays until the clock had caught up, so
-- what depends on it is moved along. Returns whether it happened. The largest time seen is written once a second.
local function tick()
  local now = now_us()
  local seen = tonumber(call('HGET', P .. 'meta', 'clock') or 0)
  if now > seen + 1000000 then
    redis.pcall('HSET', P .. 'meta', 'clock', whole(now)) -- housekeeping: refused at the limit of memory
  elseif now < seen - 1000000 then
    for _, class in ipairs(CLASSES) do restamp(P .. 's:' .. class, GROUP) end
    restamp(P .. 'blocks', 'ledger')
    local back = math.floor((seen - now) / 1000)
    local delayed = call('ZRANGE', P .. 'd', 0, -1, 'WITHSCORES')
    for index = 1, #delayed, 2 do
      redis.pcall('ZADD', P .. 'd', tonumber(delayed[index + 1]) - back, delayed[index])
    end
    redis.pcall('HSET', P .. 'meta', 'clock', whole(now), 'reclaimed', 0, 'rate_at', whole(now))
    redis.pcall('HINCRBY', P .. 'stats', 'clock_went_back', 1)
    return now, true
  end
  return now, false
end
