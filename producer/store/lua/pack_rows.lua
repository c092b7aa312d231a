-- Put ended rows into their bucket in place of their records, in one step.
--
-- KEYS[1]  batch hash          KEYS[2]  its ended rows
-- ARGV[1]  `batch:bucket`      ARGV[2]  the last end of a row there, as the caller knows it
-- ARGV[3]  bucket              ARGV[4]  its letters as the caller knows them
-- ARGV[5]  it with these rows, packed ('' = there are none)
-- ARGV[6..] job id, its ended_ms as read, ...
--
-- Only `retried_as` can change once a job has ended; it is kept beside the bucket.
--
-- Returns 'ok', 'stale': look again, or 'gone': there is no such batch any more, and records stay what they are.
local batch, rows = KEYS[1], KEYS[2]
if redis.call('EXISTS', batch) == 0 then
    redis.call('ZREM', UNPACKED_ROWS, ARGV[1])
    return 'gone'
end
if (letters_of(redis.call('HGET', rows, ARGV[3])) or '') ~= ARGV[4] then
    return 'stale'
end
local made_again, records, listed = {}, {}, {}
for i = 6, #ARGV, 2 do
    local status, ended, made = unpack(redis.call('HMGET', JOB .. ARGV[i], 'status', 'ended_ms', 'retried_as'))
    -- One that has expired meanwhile is packed all the same.
    if status and (is_live(status) or ended ~= ARGV[i + 1]) then
        return 'stale'
    end
    records[#records + 1] = JOB .. ARGV[i]
    if status and status ~= 'succeeded' then
        listed[status] = true
    end
    if made then
        made_again[#made_again + 1] = ARGV[i]
        made_again[#made_again + 1] = made
    end
end
if ARGV[5] ~= '' then
    redis.call('HSET', rows, ARGV[3], ARGV[5])
    note_made_again(made_again)
    local until_ms = redis.call('PEXPIRETIME', batch)
    redis.call('PEXPIREAT', rows, until_ms)
    for status in pairs(listed) do
        keep_until(ENDED .. status, until_ms)
    end
    redis.call('DEL', unpack(records))
    redis.call('ZADD', RESULTS, 'LT', 1, string.sub(batch, #BATCH + 1)) -- what has waited longest
    keep_index(RESULTS)
end
-- Else a row has ended since the caller looked.
if redis.call('ZSCORE', UNPACKED_ROWS, ARGV[1]) == ARGV[2] then
    redis.call('ZREM', UNPACKED_ROWS, ARGV[1])
end
return 'ok'
