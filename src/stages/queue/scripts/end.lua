-- END (ACK): leases whose rows are durable, or whose block left the chain.
--
-- KEYS[1]  prefix
-- ARGV     keep, then per group of leases of one block and class: 'done' | 'orphaned', class, block
--          `kind:number:hash`, ids of its tasks up to their range `kind:number:hash8:`, n, then n times entry, token,
--          first, last in the order of their first transactions
-- Returns  'settled' | 'stale' | 'orphaned' of every lease, in one text
--
-- Races: an owner whose lease was taken over has an older token and is refused, whatever it wrote. Sent twice, the
-- second finds no token and every bit set. Only a bit that goes from 0 to 1 counts, so no order of overlapping ranges
-- or late owners completes a block early or twice. What passed the gate is swept before its bits are set: the
-- completion of a block may plan the verification whose look-up goes here.
local verdicts = {}

local function passes(class, entry, task, token)
  if call('HGET', P .. 'tok', task.id) ~= token then return false end
  return call('XACK', P .. 's:' .. class, GROUP, entry) == 1
end

-- Ranges that touch become one.
local function join(ranges, first, last)
  if ranges[#ranges] == first - 1 then
    ranges[#ranges] = last
  else
    ranges[#ranges + 1] = first
    ranges[#ranges + 1] = last
  end
end

local function settle_group(at)
  local how, class, block, head, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local after = at + 5 + 4 * n
  local orphaned = is_orphaned({ block = block })
  local taken = (how == 'orphaned' or orphaned) and 'orphaned' or 'settled'
  local entries, ids, ranges = {}, {}, {}
  for index = at + 5, after - 1, 4 do
    local entry, first, last = ARGV[index], ARGV[index + 2], ARGV[index + 3]
    local task = { id = head .. first .. '-' .. last }
    first, last = tonumber(first), tonumber(last)
    local verdict
    if passes(class, entry, task, ARGV[index + 1]) then
      entries[#entries + 1] = entry
      ids[#ids + 1] = task.id
      join(ranges, first, last)
      verdict = taken
    elseif orphaned then
      verdict = 'orphaned'
    elseif how == 'done' and call('HEXISTS', P .. 'tok', task.id) == 0 and
      is_done({ block = block, first = first, last = last }) then
      verdict = 'settled'
    else
      redis.pcall('HINCRBY', P .. 'stats', 'stale', 1)
      verdict = 'stale'
    end
    verdicts[#verdicts + 1] = verdict
  end
  if #ids > 0 then
    call('XDEL', P .. 's:' .. class, unpack(entries))
    call('HDEL', P .. 'u', unpack(ids))
    call('HDEL', P .. 'tok', unpack(ids))
    if taken == 'orphaned' then count('orphaned', #ids) else mark_done(block, ranges) end
  end
  return after
end

local at = 2
while at <= #ARGV do at = settle_group(at) end
return table.concat(verdicts, ' ')
