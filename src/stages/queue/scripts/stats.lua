-- STATS: depths in one consistent reading.
--
-- KEYS[1]  prefix
-- ARGV     keep
-- Returns  { delayed, dead, open forwards, open backwards, open for repair, stuck, completions, requests, meta, counters,
--            then per class waiting, in flight, age of the oldest waiting in ms }
local now_ms = math.floor(now_us() / 1000)

-- A block has an entry for each kind of work that is open; the entries of a number, its score, follow each other.
local function open_blocks(mode)
  local entries = call('ZRANGE', P .. 'open:' .. mode, 0, -1, 'WITHSCORES')
  local blocks = 0
  for at = 2, #entries, 2 do
    if entries[at] ~= entries[at - 2] then blocks = blocks + 1 end
  end
  return blocks
end

local answer = {
  call('ZCARD', P .. 'd'), call('XLEN', P .. 'dlq'),
  open_blocks('forwards'), open_blocks('backwards'), open_blocks('repair'), call('ZCARD', P .. 'stuck'),
  call('XLEN', P .. 'blocks'), call('XLEN', P .. 'requests'),
  call('HGETALL', P .. 'meta'), call('HGETALL', P .. 'stats'),
}
for _, class in ipairs(CLASSES) do
  local key = P .. 's:' .. class
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  local group = not groups.err and groups[1]
  local pending, oldest = 0, 0
  local from = '-'
  if group then
    pending = group[6]
    from = '(' .. group[8]
  end
  local first = call('XRANGE', key, from, '+', 'COUNT', 1)[1]
  if first then oldest = math.max(0, now_ms - tonumber(string.match(first[1], '^%d+'))) end
  for _, value in ipairs({ call('XLEN', key) - pending, pending, oldest }) do answer[#answer + 1] = value end
end
return answer
