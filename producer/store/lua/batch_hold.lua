-- Keep a batch back, or let it go on. Its live jobs are left to the caller and to upkeep.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  'hold' or 'release'
--
-- Returns 'ok', 'same' (it was so before), 'open', 'ended' (or about to: cancelled) or 'missing'.
local batch, id = KEYS[1], ARGV[1]
local created, sealed, ended, held, moving =
    unpack(redis.call('HMGET', batch, 'created_ms', 'sealed_ms', 'ended_ms', 'held_ms', 'moving'))
if not created then
    return 'missing'
end
if not sealed then
    return 'open'
end
if ended or moving == 'cancel' then
    return 'ended'
end
if (ARGV[2] == 'hold') == (held ~= false) then
    return 'same'
end
next_number(batch, 'switches')
if ARGV[2] == 'hold' then
    redis.call('HSET', batch, 'held_ms', now_ms())
    redis.call('HDEL', batch, 'moving')
else
    redis.call('HDEL', batch, 'held_ms', 'braked_ms', 'braked_why', 'failed_own')
    redis.call('HSET', batch, 'moving', 'release')
end
emit_batch(id, ARGV[2] == 'hold' and 'held' or 'released')
keep_feeding(id)
keep_batch(id)
return 'ok'
