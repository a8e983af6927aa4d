-- BURY: a task that would fail each time becomes a dead letter.
--
-- KEYS[1]  prefix
-- ARGV     keep, token, packed task, code, message
-- Returns  'settled' | 'stale' | 'orphaned'
--
-- Races: as END. Sent twice, the second finds the letter under its own token. Dead bits are set only where no done bit
-- is, so a block is stuck only when every transaction still open is dead.
local token, task = ARGV[2], unpack_task(ARGV[3])
local class = take(token, task.id)
if not class then
  if is_orphaned(task) then return 'orphaned' end
  if string.match(call('HGET', P .. 'u', task.id) or '', '^dead %S+ (%S+)$') == token then return 'settled' end
  redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
  return 'stale'
end
if is_orphaned(task) then
  count('orphaned', 1)
  return 'orphaned'
end
task.deliveries = task.deliveries + 1
inter(class, task, ARGV[4], ARGV[5], token)
return 'settled'
