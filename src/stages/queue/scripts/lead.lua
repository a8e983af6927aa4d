-- LEAD: takes the office of a direction if it is free.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode, holder, time to live in ms
-- Returns  the token, or false
--
-- Races: the token is at least the server's milliseconds, since INCR alone repeats a token after the loss of the last
-- second. A key that lives longer than its time to live was written before the clock went back: it is taken. Sent
-- twice, the second finds its own term.
local key, ttl = P .. 'leader:' .. ARGV[2], tonumber(ARGV[4])
local held = call('GET', key)
if held then
  local token, holder = string.match(held, '^(%d+):(.*)$')
  if holder == ARGV[3] then
    call('PEXPIRE', key, ttl)
    return token
  end
  local left = call('PTTL', key)
  if left >= 0 and left <= ttl then return false end
end
local token = whole(math.max(tonumber(call('GET', P .. 'fence:' .. ARGV[2]) or 0) + 1, math.floor(now_us() / 1000)))
call('SET', P .. 'fence:' .. ARGV[2], token)
call('SET', key, token .. ':' .. ARGV[3], 'PX', ttl)
return token
