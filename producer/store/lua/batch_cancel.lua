-- End a batch: its rows that have no record at once, however many. Its live jobs are left to the caller and to upkeep.
-- An open one was never accepted; it is forgotten.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- ARGV[1]  batch               ARGV[2]  ms to keep its rows
-- ARGV[3]  'open': only if it is still open
--
-- Returns 'cancelled', 'discarded', 'ended', 'sealed' (so it stays: it should have been open) or 'missing'.
local batch, id = KEYS[1], ARGV[1]
local created, sealed, ended, key = unpack(redis.call('HMGET', batch, 'created_ms', 'sealed_ms', 'ended_ms', 'idempotency'))
if not created then
    return 'missing'
end
if not sealed then
    local owner = redis.call('HGET', batch, 'owner')
    redis.call('UNLINK', batch, KEYS[2], batch .. ':request')
    redis.call('ZREM', BATCHES, id)
    if owner then
        redis.call('ZREM', BATCHES .. ':' .. owner, id)
        redis.call('ZREM', OPEN_BATCHES .. owner, id)
    end
    if key ~= '' and string.sub(redis.call('GET', key) or '', 1, #id) == id then
        redis.call('DEL', key)
    end
    return 'discarded'
end
if ARGV[3] == 'open' then
    return 'sealed'
end
if ended then
    return 'ended'
end
expect_type('zset', ENDED .. 'cancelled:batches')
expect_counts(batch, 'waiting') -- its rows end by it
redis.call('HDEL', batch, 'held_ms')
-- Live jobs since now: what is made again after this is none of them.
redis.call('HSET', batch, 'moving', 'cancel', 'cancel_ms', now_ms())
emit_batch(id, 'cancelled')
end_rows(id, 'cancelled', ARGV[2])
keep_feeding(id)
keep_batch(id)
return 'cancelled'
