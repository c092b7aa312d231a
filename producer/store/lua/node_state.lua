-- Write a node's state and why, and tell the stream if the state is another one.
--
-- KEYS[1]  node hash
-- ARGV[1]  node                ARGV[2]  state
-- ARGV[3]  reason
-- ARGV[4]  worker (boot id) that leaves: only if it serves the node ('' = whoever does)
--
-- Returns 1, or 0 if there is no record, or another worker's.
local was, worker = unpack(redis.call('HMGET', KEYS[1], 'state', 'worker'))
if not worker or (ARGV[4] ~= '' and worker ~= ARGV[4]) then
    return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'reason', ARGV[3])
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[1], 'worker', '')
end
if was ~= ARGV[2] then
    emit_node(ARGV[1], ARGV[2], was, ARGV[3])
end
return 1
