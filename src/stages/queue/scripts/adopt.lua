-- ADOPT: after a reconnect, entries that are mine by the pending list and that I never heard of.
--
-- KEYS[1]  prefix
-- ARGV     keep, consumer, then the tokens of the leases in hand
-- Returns  how many were handed back, with no attempt and no recovery used
--
-- Race: the reply to a FETCH was lost with the connection, and ioredis sent it again. Its first deliveries are nobody's
-- until their lease runs out. Nothing else of this consumer may be fetching meanwhile (the caller sees to that).
local mine, adopted = {}, 0
for index = 3, #ARGV do mine[ARGV[index]] = true end
for _, class in ipairs(CLASSES) do
  local key, from = P .. 's:' .. class, '-'
  while true do
    local found = redis.pcall('XPENDING', key, GROUP, from, '+', 500, ARGV[2])
    if found.err or #found == 0 then break end
    for _, item in ipairs(found) do
      local entry, times = item[1], item[4]
      from = '(' .. entry
      local body = call('XRANGE', key, entry, entry)[1]
      if not body then
        call('XACK', key, GROUP, entry)
      else
        local task = unpack_task(body[2][2])
        local _, _, token = delivered(call('HGET', P .. 'u', task.id))
        if not mine[token or ''] then
          remove(class, entry, task.id)
          task.recoveries = task.recoveries + times - 1
          task.deliveries = task.deliveries + times - 1
          add(class, task.id, pack_task(task))
          adopted = adopted + 1
        end
      end
    end
  end
end
if adopted > 0 then ring() end
return adopted
