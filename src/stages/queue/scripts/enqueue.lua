-- ENQUEUE: tasks of one block in one class.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode, office `<token>:<holder>`, token, class, kind, number, hash, total, verify delay in ms or empty,
--          then first and last of each range
-- Returns  { 'not_leader' } or { 'total' } or { state, enqueued, duplicate, done, dead }
--
-- Races: a deposed leader that wakes up is refused by its token, checked in the step that writes. A resend finds its
-- tasks in `u`. An entry that `u` knows and the stream does not (a stream was deleted) is enqueued again. Two plans of
-- one block may overlap: bits, not tasks, are counted, so no chunk of a plan can complete a block early.
local mode, office, token, class = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local kind, number, hash, total, verify = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
if not leads(mode, office, token) then return { 'not_leader' } end

local block = kind .. ':' .. number .. ':' .. hash
local key = P .. 'b:' .. block
local reprocess = string.sub(class, 1, 1) == 'r'
local known = call('HMGET', key, 'state', 'total')
local state = known[1]

if state == 'orphaned' or kind == 'verify' and state == 'complete' then -- the fork came back; verified anew
  call('DEL', key, P .. 'm:' .. block, P .. 'x:' .. block)
  state = false
end
if not state then
  local done, dead = call('BITCOUNT', P .. 'm:' .. block), call('BITCOUNT', P .. 'x:' .. block)
  -- Repair passes a closed window, and must not close it for the head.
  local counted = reprocess and 'repair' or mode
  call('HSET', key, 'state', 'open', 'total', total, 'done', done, 'dead', dead, 'class', class, 'verify', verify,
    'mode', counted)
  forever(block)
  if kind ~= 'verify' then call('ZADD', P .. 'open:' .. counted, number, block) end
  state = 'open'
elseif tonumber(known[2]) ~= total then
  return { 'total' }
end

local made = { enqueued = 0, duplicate = 0, done = 0, dead = 0 }
if state == 'complete' and not reprocess then
  tell(block, call('HGET', key, 'class'), total, 'complete')
  return { state, 0, 0, (#ARGV - 10) / 2, 0 }
end

local function present(id, place)
  local at, entry = string.match(place, '^(%S+) (%S+)')
  if at == 'delayed' then return call('HEXISTS', P .. 'dt', id) == 1 end
  local stream = at == 'dead' and P .. 'dlq' or P .. 's:' .. at
  return #call('XRANGE', stream, entry, entry) > 0
end

local now = whole(math.floor(now_us() / 1000))
local head = kind .. ':' .. number .. ':' .. string.sub(hash, 3, 10) .. ':'
local facts = kind .. ' ' .. number .. ' ' .. hash .. ' 0 0 %s ' .. now .. ' - '
local fresh, buried = string.format(facts, '0'), string.format(facts, '1')
local touched = bits(P .. 'm:' .. block, 0, -1) + bits(P .. 'x:' .. block, 0, -1) > 0

local function offer(first, last)
  local range = first .. '-' .. last
  local id, length, done, before = head .. range, last - first + 1, 0, fresh
  if touched then done = bits(P .. 'm:' .. block, first, last) end
  if not reprocess and done == length then return 'done' end
  local place = call('HGET', P .. 'u', id)
  if place and not present(id, place) then place = false end
  local letter = place and string.match(place, '^dead (%S+)')
  if place and not letter then return 'duplicate' end
  if not reprocess then
    if letter or touched and done + bits(P .. 'x:' .. block, first, last) == length then return 'dead' end
  else
    if letter then
      call('XDEL', P .. 'dlq', letter)
      before = buried
    end
    local cleared = touched and clear_dead(block, tonumber(first), tonumber(last)) or 0
    if cleared > 0 then call('HINCRBY', key, 'dead', -cleared) end
  end
  add(class, id, before .. range)
  return 'enqueued'
end

for index = 11, #ARGV, 2 do
  local result = offer(ARGV[index], ARGV[index + 1])
  made[result] = made[result] + 1
end

if reprocess and state == 'stuck' and made.enqueued > 0 then
  call('HSET', key, 'state', 'open', 'mode', 'repair')
  call('ZREM', P .. 'stuck', block)
  call('ZADD', P .. 'open:repair', number, block)
end
if reprocess and state == 'complete' and made.enqueued > 0 then
  local opened = call('HMGET', key, 'class', 'verify')
  plan_verify(block, opened[1], total, opened[2])
end
if made.enqueued > 0 then ring() end
return { judge(block), made.enqueued, made.duplicate, made.done, made.dead }
