-- END (ACK): leases whose rows are durable, or whose block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, then per lease: 'done' | 'orphaned', class, entry, token, packed task
-- Returns  per lease 'settled' | 'stale' | 'orphaned'
--
-- Races: an owner whose lease was taken over has an older token and is refused, whatever it wrote. Sent twice, the
-- second finds no token and every bit set. Only a bit that goes from 0 to 1 counts, so no order of overlapping ranges
-- or late owners completes a block early or twice.
local verdicts, orphaned = {}, {}
local gone = { entries = {}, ids = {} }

local function left_the_chain(task)
  if orphaned[task.block] == nil then orphaned[task.block] = is_orphaned(task) end
  return orphaned[task.block]
end

-- The gate is taken at once; what it leaves behind is swept together for the whole batch. A verification's look-up is not:
-- the completion of its block in the same batch may plan the next.
local function take_first(class, entry, token, task)
  if task.kind == 'verify' then return take(class, entry, token, task.id) end
  if call('HGET', P .. 'tok', task.id) ~= token then return false end
  if call('XACK', P .. 's:' .. class, GROUP, entry) == 0 then return false end
  local entries = gone.entries[class] or {}
  gone.entries[class] = entries
  entries[#entries + 1] = entry
  gone.ids[#gone.ids + 1] = task.id
  return true
end

for index = 2, #ARGV, 5 do
  local how, class, entry, token = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  local task = unpack_task(ARGV[index + 4])
  local verdict
  if take_first(class, entry, token, task) then
    if how == 'orphaned' or left_the_chain(task) then
      count('orphaned', 1)
      verdict = 'orphaned'
    else
      mark_done(task.block, task.first, task.last)
      verdict = 'settled'
    end
  elseif left_the_chain(task) then
    verdict = 'orphaned'
  elseif how == 'done' and call('HEXISTS', P .. 'tok', task.id) == 0 and is_done(task) then
    verdict = 'settled'
  else
    redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
    verdict = 'stale'
  end
  verdicts[#verdicts + 1] = verdict
end
for class, entries in pairs(gone.entries) do call('XDEL', P .. 's:' .. class, unpack(entries)) end
if #gone.ids > 0 then
  call('HDEL', P .. 'u', unpack(gone.ids))
  call('HDEL', P .. 'tok', unpack(gone.ids))
end
return verdicts
