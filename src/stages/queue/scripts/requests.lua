-- REQUESTS: those that a leader has to answer; those it has answered are removed.
--
-- KEYS[1]  prefix
-- ARGV     keep, mode, office, token, most, then ids of answered ones
-- Returns  'not_leader', or { id, mode, key, body, at, ... }
--
-- Race: a deposed leader neither reads nor removes. What it had read and not removed is answered again by the next:
-- answering is an enqueue, which is idempotent. A request for no direction goes forwards, or backwards if nobody leads
-- forwards.
local mode, most = ARGV[2], tonumber(ARGV[5])
if not leads(mode, ARGV[3], ARGV[4]) then return 'not_leader' end
for index = 6, #ARGV do call('XDEL', P .. 'requests', ARGV[index]) end
local unaddressed = mode == 'forwards' or call('EXISTS', P .. 'leader:forwards') == 0
local answer, from = {}, '-'
while #answer < most * 5 do
  local found = call('XRANGE', P .. 'requests', from, '+', 'COUNT', 100)
  if #found == 0 then break end
  for _, item in ipairs(found) do
    from = '(' .. item[1]
    local values = item[2]
    if (values[2] == mode or (values[2] == '-' and unaddressed)) and #answer < most * 5 then
      for _, value in ipairs({ item[1], values[2], values[4], values[6], values[8] }) do answer[#answer + 1] = value end
    end
  end
end
return answer
