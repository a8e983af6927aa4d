-- REPLAY and DROP: dead letters come back with fresh attempts, or are forgotten.
--
-- KEYS[1]  prefix
-- ARGV     keep, 'replay' | 'drop', then ids of letters
-- Returns  how many
--
-- Race: XDEL of the letter is the gate, so that two operators, or a resend, bring it back once. Dropped ones keep their
-- dead bits: the block stays stuck.
local changed = 0
for index = 3, #ARGV do
  local letter = call('XRANGE', P .. 'dlq', ARGV[index], ARGV[index])[1]
  if letter and call('XDEL', P .. 'dlq', ARGV[index]) == 1 then
    local task, class = unpack_task(letter[2][2]), letter[2][4]
    call('HDEL', P .. 'u', task.id)
    if ARGV[2] == 'drop' then
      changed = changed + 1
    elseif not is_orphaned(task) then
      local key = P .. 'b:' .. task.block
      local cleared = clear_dead(task.block, task.first, task.last)
      if call('EXISTS', key) == 1 then
        if cleared > 0 then call('HINCRBY', key, 'dead', -cleared) end
        if cleared > 0 and call('HGET', key, 'state') == 'stuck' then
          call('HSET', key, 'state', 'open', 'mode', 'repair')
          call('ZREM', P .. 'stuck', task.block)
          if task.kind ~= 'verify' then call('ZADD', P .. 'open:repair', task.number, task.block) end
        end
      end
      task.attempts, task.recoveries, task.nodes = 0, 0, '-'
      add(class, task.id, pack_task(task))
      changed = changed + 1
    end
  end
end
if changed > 0 and ARGV[2] == 'replay' then ring() end
return changed
