-- END (ACK): leases whose rows are durable, or whose block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, then per group of leases of one block and class: 'done' | 'orphaned', class, block
--          `kind:number:hash`, ids of its tasks up to their range `kind:number:hash8:`, and one text with
--          `token first-last` of each in the order of their first transactions
-- Returns  of every lease that is not settled its number, from 1, and 'stale' | 'orphaned'
--
-- Races: an owner whose lease was taken over has an older token and is refused, whatever it wrote. Whoever has the
-- newest token has the entry: both are written and removed in one step. Sent twice, the second finds the task gone and
-- every bit set. Only a bit that goes from 0 to 1 counts, so no order of overlapping ranges or late owners completes a
-- block early or twice. What passed the gate is swept before its bits are set: the completion of a block may plan the
-- verification whose look-up goes here.
local verdicts, leases_before = {}, 0

-- Ranges that touch become one.
local function join(ranges, first, last)
  if ranges[#ranges] == first - 1 then
    ranges[#ranges] = last
  else
    ranges[#ranges + 1] = first
    ranges[#ranges + 1] = last
  end
end

local function unheld(how, orphaned, block, newest, first, last)
  if orphaned then return 'orphaned' end
  if how == 'done' and not newest and is_done({ block = block, first = first, last = last }) then return 'settled' end
  redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
  return 'stale'
end

local function settle_group(how, class, block, head, leases)
  local all, token_of, first_of, last_of = {}, {}, {}, {}
  local n = 0
  for token, range, first, last in string.gmatch(leases, '(%d+) ((%d+)%-(%d+))') do
    n = n + 1
    all[n], token_of[n], first_of[n], last_of[n] = head .. range, token, tonumber(first), tonumber(last)
  end
  local places = call('HMGET', P .. 'u', unpack(all))
  local orphaned = is_orphaned({ block = block })
  local taken = (how == 'orphaned' or orphaned) and 'orphaned' or 'settled'
  local entries, ids, ranges = {}, {}, {}
  for nth = 1, n do
    local verdict, _, entry, newest = taken, delivered(places[nth])
    if newest == token_of[nth] then
      entries[#entries + 1] = entry
      ids[#ids + 1] = all[nth]
      join(ranges, first_of[nth], last_of[nth])
    else
      verdict = unheld(how, orphaned, block, newest, first_of[nth], last_of[nth])
    end
    if verdict ~= 'settled' then
      verdicts[#verdicts + 1] = leases_before + nth
      verdicts[#verdicts + 1] = verdict
    end
  end
  leases_before = leases_before + n
  if #ids > 0 then
    call('XACK', P .. 's:' .. class, GROUP, unpack(entries))
    call('XDEL', P .. 's:' .. class, unpack(entries))
    call('HDEL', P .. 'u', unpack(ids))
    if taken == 'orphaned' then count('orphaned', #ids) else mark_done(block, ranges) end
  end
end

for at = 2, #ARGV, 5 do settle_group(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]) end
return verdicts
