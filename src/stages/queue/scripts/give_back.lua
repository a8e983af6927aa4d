-- GIVE BACK (FAIL, SPLIT, release): a lease ends, and what is left of its task comes back later.
--
-- KEYS[1]  prefix
-- ARGV     keep, token, packed task, delay ms, counter, n, n pairs first last of durable ranges, then the packed
--          tasks that come back
-- Returns  'settled' | 'stale' | 'orphaned'
--
-- Races: as END. Sent twice, the second finds the returned task delayed under its own token. A narrower range that is
-- already in the queue (from another plan) is not added a second time.
local token, task, delay_ms, counter, n = ARGV[2], unpack_task(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local rest = 7 + 2 * n

local class = take(token, task.id)
if not class then
  if is_orphaned(task) then return 'orphaned' end
  if ARGV[rest] and call('HGET', P .. 'u', unpack_task(ARGV[rest]).id) == 'delayed ' .. token then return 'settled' end
  redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
  return 'stale'
end
if is_orphaned(task) then
  count('orphaned', 1)
  return 'orphaned'
end
count(counter, 1)
local ranges = {}
for index = 7, rest - 1 do ranges[#ranges + 1] = tonumber(ARGV[index]) end
if n > 0 then mark_done(task.block, ranges) end
local ready_ms = math.floor(now_us() / 1000) + delay_ms
for index = rest, #ARGV do
  local again = unpack_task(ARGV[index])
  if call('HEXISTS', P .. 'u', again.id) == 0 then delay(class, again, ready_ms, token) end
end
return 'settled'
