-- GC: consumers that are gone.
--
-- KEYS[1]  prefix
-- ARGV     keep, idle ms after which a consumer is taken for gone
-- Returns  how many were removed
--
-- Race: DELCONSUMER with pending entries loses them, so only one that has none goes, checked in the same step.
local removed = 0
local function sweep(key, group)
  local consumers = redis.pcall('XINFO', 'CONSUMERS', key, group)
  if consumers.err then return end
  for _, consumer in ipairs(consumers) do
    if consumer[4] == 0 and consumer[6] > tonumber(ARGV[2]) then
      call('XGROUP', 'DELCONSUMER', key, group, consumer[2])
      removed = removed + 1
    end
  end
end
for _, class in ipairs(CLASSES) do sweep(P .. 's:' .. class, GROUP) end
sweep(P .. 'blocks', 'ledger')
return removed
