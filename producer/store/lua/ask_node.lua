-- Write into a node's record that somebody asks something of it once, and call its worker, which sees another time than before.
--
-- KEYS[1]  node hash
-- ARGV[1]  node                ARGV[2]  what, as the last of WANTED are called
--
-- Returns 1, or 0 if there is no record.
if redis.call('HEXISTS', KEYS[1], 'worker') == 0 then
    return 0
end
-- Always another time than before, also twice within a millisecond.
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or 0) or 0
redis.call('HSET', KEYS[1], ARGV[2], math.max(now_ms(), before + 1))
call_node(ARGV[1])
return 1
