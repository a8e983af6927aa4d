-- RENEW and RESIGN: prolongs a term, or ends it when the time to live is 0.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode, office `<token>:<holder>`, time to live in ms
-- Returns  1, or 0 when the term is over
--
-- Race: the whole value is compared, so a leader that was stopped cannot prolong or end its successor's term.
local key = P .. 'leader:' .. ARGV[2]
if call('GET', key) ~= ARGV[3] then return 0 end
if ARGV[4] == '0' then
  call('DEL', key)
else
  call('PEXPIRE', key, ARGV[4])
end
return 1
