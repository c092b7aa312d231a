-- Write a node's record for a worker, unless another living worker serves under that name.
--
-- KEYS[1]  node hash
-- ARGV[1]  node                ARGV[2]  worker (boot id)
-- ARGV[3]  ms of silence after which the holder counts as gone
-- ARGV[4]  '1' if the caller knows the holder to be gone
-- ARGV[5]  ms to keep the record
-- ARGV[6..] field, value, ...
--
-- Returns {'ok', what is wanted of the node, its quarantine, what is wanted of its pool, JSON ('' = nothing special), when
-- somebody asked last that its doubts be forgotten, that it be tried} or {'taken', the holder's host}.
local holder, beat, host = unpack(redis.call('HMGET', KEYS[1], 'worker', 'beat_ms', 'host'))
if holder and holder ~= '' and holder ~= ARGV[2] and ARGV[4] ~= '1'
    and now_ms() - tonumber(beat) < tonumber(ARGV[3]) then
    return {'taken', host}
end
local was = redis.call('HGET', KEYS[1], 'state')
redis.call('HSET', KEYS[1], 'worker', ARGV[2], 'beat_ms', now_ms(), unpack(ARGV, 6))
if holder ~= ARGV[2] then
    redis.call('HSET', KEYS[1], 'started_ms', now_ms())
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', NODES, now_ms(), ARGV[1])
local state, reason, pool = unpack(redis.call('HMGET', KEYS[1], 'state', 'reason', 'pool'))
if redis.call('HDEL', KEYS[1], 'silent') == 1 then
    was = 'offline'
end
if state and state ~= was then
    emit_node(ARGV[1], state, was, reason)
end
copy_wish(KEYS[1], 'desired', fields_of(DESIRED, ARGV[1]))
copy_wish(KEYS[1], 'quarantine', fields_of(QUARANTINED, ARGV[1]))
copy_wish(KEYS[1], 'pool_desired', fields_of(POOLS, pool or ''))
return {'ok', unpack(told_wishes(redis.call('HMGET', KEYS[1], unpack(WANTED))))}
