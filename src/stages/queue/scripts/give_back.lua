-- GIVE BACK (FAIL, SPLIT, release): a lease ends, and what is left of its task comes back later.
--
-- KEYS[1]  prefix
-- ARGV     keep, class, entry, token, packed task, delay ms, counter, n, n pairs first last of durable ranges,
--          then the packed tasks that come back
-- Returns  'settled' | 'stale' | 'orphaned'
--
-- Races: as END. Sent twice, the second finds the returned task delayed under its own token. A narrower range that is
-- already in the queue (from another plan) is not added a second time.
local class, entry, token, counter = ARGV[2], ARGV[3], ARGV[4], ARGV[7]
local task, delay_ms, n = unpack_task(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8])
local rest = 9 + 2 * n

if not take(class, entry, token, task.id) then
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
for index = 9, rest - 1 do ranges[#ranges + 1] = tonumber(ARGV[index]) end
if n > 0 then mark_done(task.block, ranges) end
local ready_ms = math.floor(now_us() / 1000) + delay_ms
for index = rest, #ARGV do
  local again = unpack_task(ARGV[index])
  if call('HEXISTS', P .. 'u', again.id) == 0 then delay(class, again, ready_ms, token) end
end
return 'settled'
