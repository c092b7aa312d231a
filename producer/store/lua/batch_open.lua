-- Open a batch. Nothing is written when its idempotency key was here before.
--
-- KEYS[1]  batch hash          KEYS[2]  idempotency key ('' = none)
-- KEYS[3]  what it is begun with
-- ARGV[1]  batch               ARGV[2]  fingerprint of what its rows share
-- ARGV[3]  what it is begun with, packed ('' = nothing is kept)
-- ARGV[4..] field, value, ... of the batch
--
-- Returns {'new', id}, {'same', id of the batch opened before}, {'reused', id}: that key, another request, or
-- {'crowded', how many}: its owner has as many open batches as may be.
local owner = field_of(ARGV, 4, 'owner')
expect_type('zset', BATCHES, owner and BATCHES .. ':' .. owner)
expect_type('zset', owner and OPEN_BATCHES .. owner)
expect_type('string', KEYS[2])
if KEYS[2] ~= '' then
    local id, fingerprint = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%S+)$')
    if id and has_record(id) then
        return {fingerprint == ARGV[2] and 'same' or 'reused', id}
    end
end
local open = owner and open_batches(owner) or 0
if open >= MOST_OPEN then
    return {'crowded', open}
end
if KEYS[2] ~= '' then
    redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2], 'PX', OPEN_MS)
end
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], 'created_ms', now_ms(), 'received', 0, 'buckets', 0, 'digest', '',
        'fed', 0, 'edits', 0, 'idempotency', KEYS[2], unpack(ARGV, 4))
    redis.call('PEXPIRE', KEYS[1], OPEN_MS)
    if ARGV[3] ~= '' then
        redis.call('SET', KEYS[3], ARGV[3], 'PX', OPEN_MS)
    end
    for _, list in ipairs({BATCHES, owner and BATCHES .. ':' .. owner}) do
        -- A list loses batches that have expired as new ones come. Any may have, as each lives as long as its start
        -- deadline asks for; with ten looked at for each new one, they stay a small part of the list.
        for _, other in ipairs(redis.call('ZRANDMEMBER', list, 10)) do
            if redis.call('EXISTS', BATCH .. other) == 0 then
                redis.call('ZREM', list, other)
            end
        end
        redis.call('ZADD', list, now_ms(), ARGV[1])
        keep_index(list)
    end
    if owner then
        redis.call('ZADD', OPEN_BATCHES .. owner, now_ms(), ARGV[1])
        redis.call('PEXPIRE', OPEN_BATCHES .. owner, OPEN_MS)
    end
end
return {'new', ARGV[1]}
