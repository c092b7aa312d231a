-- Accept all rows of a batch, the last ones handed in with it. From now on they are fed to the queue.
--
-- What its rows share is stored now: an open batch may be forgotten, and would leave it behind.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- KEYS[3]  its template        KEYS[4]  its extra data ('' = none)
-- ARGV[1]  batch               ARGV[2]  how many rows it has in all
-- ARGV[3]  bucket of the last rows         ARGV[4]  how many these are (0 = none)
-- ARGV[5]  digest of all rows before them  ARGV[6]  digest of all rows
-- ARGV[7]  the rows, packed    ARGV[8]  queues of the batch and what they need, JSON
-- ARGV[9]  most jobs that may wait, these included (0 = no limit)
-- ARGV[10] how many of the last rows are left out
-- ARGV[11] graph, packed       ARGV[12] extra data, packed      ARGV[13] secrets, JSON ('' = none)
-- ARGV[14] shapes of the rows, JSON ('' = as before)
--
-- Returns {'ok', rows}, {'same', rows}: it was sealed before, {'full', how many wait},
-- {'owner_full', {how many of its owner wait, how many may}}, {'missing', 0}
-- or {'differs', rows received}: other rows were handed in before.
local batch, id, total, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[9])
local sealed, buckets, digest, received, key, start_within =
    unpack(redis.call('HMGET', batch, 'sealed_ms', 'buckets', 'digest', 'received', 'idempotency', 'start_within_ms'))
if not buckets then
    return {'missing', 0}
end
expect_counts(batch, 'received', 'buckets', 'skipped', 'start_within_ms')
if sealed then
    return {digest == ARGV[6] and tonumber(received) == total and 'same' or 'differs', tonumber(received)}
end
if digest ~= ARGV[5] or buckets ~= ARGV[3] or tonumber(received) + tonumber(ARGV[4]) ~= total then
    return {'differs', tonumber(received)}
end
if most > 0 and backlog() + total > most then
    return {'full', backlog()}
end
local full = owner_full(redis.call('HGET', batch, 'owner'), total)
if full then
    return {'owner_full', full}
end
expect_batch_indexes(redis.call('HGET', batch, 'owner'))
if tonumber(ARGV[4]) > 0 then
    redis.call('HSET', KEYS[2], ARGV[3], ARGV[7])
    redis.call('HSET', batch, 'buckets', tonumber(buckets) + 1)
end
if ARGV[14] ~= '' then
    redis.call('HSET', batch, 'shapes', ARGV[14])
end
local start_by = now_ms() + tonumber(start_within)
keep_shared(KEYS[3], ARGV[11], tonumber(start_within) + SHARED_MS)
keep_shared(KEYS[4], ARGV[12], tonumber(start_within) + SHARED_MS)
redis.call('DEL', batch .. ':request')
keep_secrets(id, ARGV[13], tonumber(start_within) + SHARED_MS)
redis.call('HSET', batch, 'received', total, 'digest', ARGV[6], 'places', ARGV[8], 'sealed_ms', now_ms(),
    'start_by_ms', start_by)
add_waiting(id, total - redis.call('HINCRBY', batch, 'skipped', ARGV[10]))
emit_batch(id, 'sealed')
note_finish(id)
keep_batch(id)
redis.call('PEXPIREAT', KEYS[2], start_by + LIVE_MS)
keep_feeding(id)
stop_feeding_if_done(id)
return {'ok', total}
