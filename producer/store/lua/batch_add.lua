-- Add the next bucket of rows to an open batch. One that was added before is left as it is.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- ARGV[1]  bucket, from 0      ARGV[2]  how many rows it has, those included that are left out
-- ARGV[3]  digest of all rows before it    ARGV[4]  digest with it
-- ARGV[5]  the rows, packed    ARGV[6]  queues of the batch and what they need, JSON
-- ARGV[7]  most jobs that may wait, these included (0 = no limit)
-- ARGV[8]  how many of its rows are left out
-- ARGV[9]  shapes of the rows so far, JSON ('' = as before)
--
-- Returns {'ok', rows received}, {'same', rows received}, {'full', how many wait},
-- {'owner_full', {how many of its owner wait, how many may}}, {'missing', 0},
-- {'sealed', rows received} or {'differs', rows received}: other rows were handed in before.
local batch, number, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[7])
local sealed, buckets, digest, received, key =
    unpack(redis.call('HMGET', batch, 'sealed_ms', 'buckets', 'digest', 'received', 'idempotency'))
if not buckets then
    return {'missing', 0}
end
expect_counts(batch, 'received', 'buckets', 'skipped')
received = tonumber(received)
if number < tonumber(buckets) then
    -- The digest is a chain: when the last link is equal, all before it are.
    local is_last = number == tonumber(buckets) - 1
    return {is_last and digest ~= ARGV[4] and 'differs' or 'same', received}
end
if sealed then
    return {'sealed', received}
end
if number > tonumber(buckets) or digest ~= ARGV[3] then
    return {'differs', received}
end
local owner, open = redis.call('HGET', batch, 'owner'), received
if owner then -- all that it has handed in counts, sealed or not
    open = math.max(open, (select(2, open_batches(owner))))
end
if most > 0 and backlog() + open + tonumber(ARGV[2]) > most then
    return {'full', backlog()}
end
local full = owner_full(owner, open + tonumber(ARGV[2]))
if full then
    return {'owner_full', full}
end
redis.call('HSET', KEYS[2], number, ARGV[5])
redis.call('HSET', batch, 'buckets', number + 1, 'digest', ARGV[4], 'places', ARGV[6])
redis.call('HINCRBY', batch, 'skipped', ARGV[8])
if ARGV[9] ~= '' then
    redis.call('HSET', batch, 'shapes', ARGV[9])
end
redis.call('PEXPIRE', batch, OPEN_MS)
redis.call('PEXPIRE', KEYS[2], OPEN_MS)
redis.call('PEXPIRE', batch .. ':request', OPEN_MS)
if owner then
    redis.call('PEXPIRE', OPEN_BATCHES .. owner, OPEN_MS)
end
if key ~= '' then
    redis.call('PEXPIRE', key, OPEN_MS)
end
return {'ok', redis.call('HINCRBY', batch, 'received', ARGV[2])}
