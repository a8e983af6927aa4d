-- END (ACK): leases whose rows are durable, or whose block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, then per lease: 'done' | 'orphaned', class, entry, token, packed task
-- Returns  per lease 'settled' | 'stale' | 'orphaned'
--
-- Races: an owner whose lease was taken over has an older token and is refused, whatever it wrote. Sent twice, the
-- second finds no token and every bit set. Only a bit that goes from 0 to 1 counts, so no order of overlapping ranges
-- or late owners completes a block early or twice.
local verdicts = {}
for index = 2, #ARGV, 5 do
  local how, class, entry, token = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  local task = unpack_task(ARGV[index + 4])
  local verdict
  if take(class, entry, token, task.id) then
    if how == 'orphaned' or is_orphaned(task) then
      count('orphaned', 1)
      verdict = 'orphaned'
    else
      mark_done(task.block, task.first, task.last)
      verdict = 'settled'
    end
  elseif is_orphaned(task) then
    verdict = 'orphaned'
  elseif how == 'done' and call('HEXISTS', P .. 'tok', task.id) == 0 and is_done(task) then
    verdict = 'settled'
  else
    redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
    verdict = 'stale'
  end
  verdicts[#verdicts + 1] = verdict
end
return verdicts
