-- CONFIRM: completions that the ledger holds.
--
-- KEYS[1]  prefix
-- ARGV     keep, then ids
-- Returns  how many were still there
--
-- Race: XACK without XDEL would leave an entry that nobody is given, XDEL without XACK one that is pending for ever; a
-- process may die between two commands, not inside a script.
local confirmed = 0
for index = 2, #ARGV do
  call('XACK', P .. 'blocks', 'ledger', ARGV[index])
  confirmed = confirmed + call('XDEL', P .. 'blocks', ARGV[index])
end
return confirmed
