-- REQUEST: what another process asks of the leader.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode or '-', idempotency key, time to remember it in ms, body
-- Returns  1, or 0 when the key is known
--
-- Race: key and request are written in one step; a resend, and a client that repeats itself, find the key.
if not call('SET', P .. 'rk:' .. ARGV[3], 1, 'NX', 'PX', ARGV[4]) then return 0 end
local at = whole(math.floor(now_us() / 1000))
call('XADD', P .. 'requests', '*', 'm', ARGV[2], 'k', ARGV[3], 'b', ARGV[5], 'at', at)
return 1
