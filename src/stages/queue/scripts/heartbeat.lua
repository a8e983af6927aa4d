-- HEARTBEAT: renews leases that are still mine.
--
-- KEYS[1]  prefix
-- ARGV     keep, consumer, then per lease: token, task id
-- Returns  tokens of the leases that are not mine any more
--
-- Race: a bare XCLAIM by an owner that had been stopped would steal the task back from its new owner; here the token
-- is compared in the same step. XCLAIM JUSTID resets the idle time and leaves the delivery count alone.
tick()
local lost = {}
for index = 3, #ARGV, 2 do
  local token = ARGV[index]
  local class, entry, newest = delivered(call('HGET', P .. 'u', ARGV[index + 1]))
  local renewed = newest == token and redis.pcall('XCLAIM', P .. 's:' .. class, GROUP, ARGV[2], 0, entry, 'JUSTID')
  if not renewed or renewed.err or #renewed == 0 then lost[#lost + 1] = token end
end
return lost
