-- FETCH: hands out up to `free` tasks, never more.
--
-- KEYS[1]  prefix
-- ARGV     keep, consumer, free, lease ms, reclaim ms, most recoveries, seed,
--          6 allowances and 6 weights in the order of CLASSES
-- Returns  { ms until it is worth asking again or -1, recovered, clock went back 0 | 1, buried bodies, deliveries }:
--          the last is one text, a line for each run of tasks that have everything but their range in common: class,
--          the packed task as it was added up to its range, earlier deliveries of the entry, token of the first (that of
--          each next one is one more), ranges; a reply of many parts costs both sides more than the tasks
--
-- Races: the token is written in the step that delivers, so two owners never have one. An expired lease is claimed
-- only if it is still idle for the whole lease (XCLAIM's own condition): of two recoverers one gets it. A reply that
-- is lost with its connection leaves entries pending that their consumer never heard of: see ADOPT.
local consumer, free, lease, reclaim = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local max_recoveries, state = tonumber(ARGV[6]), tonumber(ARGV[7])
local allow, weight, paused = {}, {}, {}
local meta = call('HGETALL', P .. 'meta')
local facts = {}
for index = 1, #meta, 2 do facts[meta[index]] = meta[index + 1] end
for index, class in ipairs(CLASSES) do
  allow[class], weight[class] = tonumber(ARGV[7 + index]), tonumber(ARGV[13 + index])
  paused[class] = facts['paused:' .. class] ~= nil
end

local now, went_back = tick()
local now_ms = math.floor(now / 1000)
local found, buried, recovered = 0, {}, 0
local left = free

-- Delayed tasks that are due. ZREM first: it needs no memory.
local due = call('ZRANGE', P .. 'd', '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  call('ZREM', P .. 'd', id)
  local packed = call('HGET', P .. 'dt', id)
  call('HDEL', P .. 'dt', id)
  if packed then add(string.sub(packed, 1, 2), id, string.sub(packed, 4)) end
end

-- Token bucket of the whole network.
local rate = tonumber(facts['rate'])
local level
if rate then
  local since = math.max(0, now - tonumber(facts['rate_at']))
  level = math.min(math.max(1, rate), tonumber(facts['rate_level']) + since * rate / 1000000)
  left = math.min(left, math.floor(level))
end
local rate_bound = left < free

-- What is known of a block is looked at once.
local blocks = {}
local function look(name)
  local block = blocks[name]
  if not block then
    block = {
      orphaned = is_orphaned({ block = name }),
      bits = 8 * call('STRLEN', P .. 'm:' .. name), -- none is set behind them
    }
    blocks[name] = block
  end
  return block
end

-- Tasks that follow each other and differ in their range alone are a run; their tokens follow each other too.
local run, lines = { facts = '' }, {}
local function begin(class, body, earlier)
  local facts, kind, number, hash = string.match(body, '^((%S+) (%S+) (%S+) .* )')
  local name = kind .. ':' .. number .. ':' .. hash
  run = {
    class = class, facts = facts, earlier = earlier, name = name, block = look(name),
    head = kind .. ':' .. number .. ':' .. string.sub(hash, 3, 10) .. ':',
  }
end

local function is_over(range)
  local first, last = string.match(range, '^(%d+)%-(%d+)$')
  first, last = tonumber(first), tonumber(last)
  return last < run.block.bits and is_done({ block = run.name, first = first, last = last })
end

local last_token = nil
local places = {}
local function deliver(class, entry, body, earlier)
  if class ~= run.class or earlier ~= run.earlier or string.find(body, run.facts, 1, true) ~= 1 then
    begin(class, body, earlier)
  end
  local range = string.sub(body, #run.facts + 1)
  local id = run.head .. range
  if run.block.orphaned then
    remove(class, entry, id)
    count('orphaned', 1)
    return false
  end
  if run.block.bits > 0 and string.sub(class, 1, 1) == 'p' and is_over(range) then
    remove(class, entry, id)
    count('skipped', 1)
    return false
  end
  -- At least the server's microseconds: a fence that lost its last second would repeat tokens otherwise.
  last_token = math.max((last_token or tonumber(call('GET', P .. 'fence:task') or 0)) + 1, now)
  if not run.line then
    run.line = { class .. ' ' .. run.facts .. earlier, whole(last_token) }
    lines[#lines + 1] = run.line
  end
  run.line[#run.line + 1] = range
  places[#places + 1] = id
  places[#places + 1] = string.format('%s %s %d', class, entry, last_token)
  found = found + 1
  left = left - 1
  allow[class] = allow[class] - 1
  return true
end

-- Expired leases.
if left > 0 and (now_ms - tonumber(facts['reclaimed'] or 0) >= reclaim or went_back) then
  local exhausted = false
  for _, class in ipairs(CLASSES) do
    local key = P .. 's:' .. class
    local expired = paused[class] and {} or redis.pcall('XPENDING', key, GROUP, 'IDLE', lease, '-', '+', 200)
    if expired.err then expired = {} end
    for _, item in ipairs(expired) do
      local entry, times = item[1], item[4]
      local body = call('XRANGE', key, entry, entry)[1]
      if not body then
        call('XACK', key, GROUP, entry) -- deleted without being acknowledged
      else
        local task = unpack_task(body[2][2])
        if task.recoveries + times > max_recoveries then
          if remove(class, entry, task.id) then
            task.recoveries = task.recoveries + times
            task.deliveries = task.deliveries + times
            count('recovered', 1)
            if not is_orphaned(task) then
              inter(class, task, 'crashed', task.recoveries .. ' processes vanished while they held the task', '0')
              buried[#buried + 1] = class .. ' ' .. pack_task(task)
            end
          end
        elseif left == 0 or allow[class] == 0 then
          exhausted = true
        elseif #call('XCLAIM', key, GROUP, consumer, lease, entry) > 0 and deliver(class, entry, body[2][2], times) then
          recovered = recovered + 1
          count('recovered', 1)
        end
      end
    end
    if #expired == 200 then exhausted = true end
  end
  if not exhausted then redis.pcall('HSET', P .. 'meta', 'reclaimed', whole(now_ms)) end
end

-- New tasks: quotas by weight, what is left over drawn by weight, classes that run dry give theirs to the others.
local function draw()
  state = (state * 16807) % 2147483647
  return state / 2147483647
end

local function read(class, want)
  local key = P .. 's:' .. class
  local answer = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', want, 'STREAMS', key, '>')
  if type(answer) == 'table' and answer.err then -- NOGROUP after a DEL, a FLUSHALL or a failover
    redis.pcall('XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM')
    answer = call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', want, 'STREAMS', key, '>')
  end
  return answer and answer[1][2] or {}
end

local open = {}
for _, class in ipairs(CLASSES) do
  if not paused[class] and allow[class] > 0 and call('XLEN', P .. 's:' .. class) > 0 then open[#open + 1] = class end
end
local rounds = 0
while left > 0 and #open > 0 and rounds < 20 do
  local sum, quotas, rest = 0, {}, left
  for _, class in ipairs(open) do sum = sum + weight[class] end
  for index, class in ipairs(open) do
    quotas[index] = rounds == 0 and math.floor(left * weight[class] / sum) or 0
    rest = rest - quotas[index]
  end
  for _ = 1, rest do
    local mark, index = draw() * sum, 1
    while index < #open and mark >= weight[open[index]] do
      mark = mark - weight[open[index]]
      index = index + 1
    end
    quotas[index] = quotas[index] + 1
  end
  rounds = rounds + 1
  local still = {}
  for index, class in ipairs(open) do
    local want = math.min(quotas[index], allow[class], left)
    local entries = want > 0 and read(class, want) or {}
    for _, entry in ipairs(entries) do deliver(class, entry[1], entry[2][2], 0) end
    if #entries == want and allow[class] > 0 then still[#still + 1] = class end
  end
  open = still
end

if last_token then call('SET', P .. 'fence:task', whole(last_token)) end
for from = 1, #places, 200 do call('HSET', P .. 'u', unpack(places, from, math.min(from + 199, #places))) end
if left == 0 then redis.pcall('ZADD', P .. 'bell', 0, 'ring') end -- there may be more, for another

local next_ms = -1
if left > 0 and #open > 0 then
  next_ms = 0
else
  local earliest = call('ZRANGE', P .. 'd', 0, 0, 'WITHSCORES')
  if earliest[2] then next_ms = math.max(0, tonumber(earliest[2]) - now_ms) end
end
if rate then
  level = level - found
  redis.pcall('HSET', P .. 'meta', 'rate_level', tostring(level), 'rate_at', whole(now))
  if rate_bound then
    local wait = math.ceil(math.max(0, 1 - level) * 1000 / rate)
    next_ms = next_ms < 0 and wait or math.min(next_ms, wait)
  end
end

for nth, line in ipairs(lines) do lines[nth] = table.concat(line, ' ') end
return { whole(next_ms), recovered, went_back and 1 or 0, buried, table.concat(lines, '\n') }
