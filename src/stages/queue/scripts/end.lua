-- END (ACK): leases whose rows are durable, or whose block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, then per group of leases of one block and class: 'done' | 'orphaned', class, block
--          `kind:number:hash`, ids of its tasks up to their range `kind:number:hash8:`, n, then n times entry, token,
--          first, last in the order of their first transactions
-- Returns  'settled' | 'stale' | 'orphaned' of every lease, in one text
--
-- Races: an owner whose lease was taken over has an older token and is refused, whatever it wrote. Whoever has the
-- newest token has the entry: both are written and removed in one step. Sent twice, the second finds the task gone and
-- every bit set. Only a bit that goes from 0 to 1 counts, so no order of overlapping ranges
-- or late owners completes a block early or twice. What passed the gate is swept before its bits are set: the
-- completion of a block may plan the verification whose look-up goes here.
local verdicts = {}

-- Ranges that touch become one.
local function join(ranges, first, last)
  if ranges[#ranges] == first - 1 then
    ranges[#ranges] = last
  else
    ranges[#ranges + 1] = first
    ranges[#ranges + 1] = last
  end
end

local function unheld(how, orphaned, block, place, first, last)
  if orphaned then return 'orphaned' end
  if how == 'done' and not token_of(place) and is_done({ block = block, first = first, last = last }) then
    return 'settled'
  end
  redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
  return 'stale'
end

local function settle_group(at)
  local how, class, block, head, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local from, after = at + 5, at + 5 + 4 * n
  local all = {}
  for index = from, after - 1, 4 do all[#all + 1] = head .. ARGV[index + 2] .. '-' .. ARGV[index + 3] end
  local places = call('HMGET', P .. 'u', unpack(all))
  local orphaned = is_orphaned({ block = block })
  local taken = (how == 'orphaned' or orphaned) and 'orphaned' or 'settled'
  local entries, ids, ranges = {}, {}, {}
  for nth = 1, n do
    local index = from + 4 * (nth - 1)
    local entry, first, last = ARGV[index], tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3])
    if places[nth] == held(class, entry, ARGV[index + 1]) then
      entries[#entries + 1] = entry
      ids[#ids + 1] = all[nth]
      join(ranges, first, last)
      verdicts[#verdicts + 1] = taken
    else
      verdicts[#verdicts + 1] = unheld(how, orphaned, block, places[nth], first, last)
    end
  end
  if #ids > 0 then
    call('XACK', P .. 's:' .. class, GROUP, unpack(entries))
    call('XDEL', P .. 's:' .. class, unpack(entries))
    call('HDEL', P .. 'u', unpack(ids))
    if taken == 'orphaned' then count('orphaned', #ids) else mark_done(block, ranges) end
  end
  return after
end

local at = 2
while at <= #ARGV do at = settle_group(at) end
return table.concat(verdicts, ' ')
