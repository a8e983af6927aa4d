-- ORPHAN: a block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode, office, token, number, hash, then ids of its tasks as far as they were found
-- Returns  'not_leader', or the number of tasks dropped
--
-- Sent first without ids, which marks the block: what is enqueued or fetched after that is settled as orphaned by the
-- other scripts, so tasks that the search for ids misses end too. Called before the replacement is enqueued.
-- Race: a task in flight loses its token, so its owner's settlement is answered 'orphaned' and sets no bit.
if not leads(ARGV[2], ARGV[3], ARGV[4]) then return 'not_leader' end
local number, hash, dropped = ARGV[5], ARGV[6], 0
for _, kind in ipairs({ 'trace', 'simple', 'verify' }) do
  local block = kind .. ':' .. number .. ':' .. hash
  for _, mode in ipairs({ 'forwards', 'backwards', 'repair' }) do call('ZREM', P .. 'open:' .. mode, block) end
  call('ZREM', P .. 'stuck', block)
  call('HSET', P .. 'b:' .. block, 'state', 'orphaned')
  remember(block)
end
for index = 7, #ARGV do
  local id = ARGV[index]
  local place = call('HGET', P .. 'u', id)
  if place then
    local at, entry = string.match(place, '^(%S+) (%S+)')
    if at == 'delayed' then
      call('ZREM', P .. 'd', id)
      call('HDEL', P .. 'dt', id)
    elseif at == 'dead' then
      call('XDEL', P .. 'dlq', entry)
    else
      call('XACK', P .. 's:' .. at, GROUP, entry)
      call('XDEL', P .. 's:' .. at, entry)
    end
    call('HDEL', P .. 'u', id)
    dropped = dropped + 1
  end
end
return dropped
