-- Make records of the next rows of a batch. Whoever fed them before leaves nothing to do.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- ARGV[1]  batch               ARGV[2]  rows fed before these
-- ARGV[3]  edits of the rows that the caller knows of
-- ARGV[4]  rows fed with these ARGV[5]  bucket that is used up with them ('' = none)
-- ARGV[6]  ms to keep the rows if the start deadline has passed
-- ARGV[7]  so many queues, then each and what it needs, JSON
-- ARGV[..] so many arguments a row, then for each row: job id, field, value, ... but for the status
--
-- Returns {job id, ...} that now wait and need a message; nothing when the rows are not to be fed.
local batch, id = KEYS[1], ARGV[1]
local sealed, start_by, held, rest, fed, edits =
    unpack(redis.call('HMGET', batch, 'sealed_ms', 'start_by_ms', 'held_ms', 'rest', 'fed', 'edits'))
if not sealed or rest then
    return false
end
if tonumber(start_by) <= now_ms() then
    expect_type('zset', ENDED .. 'expired:batches')
    end_rows(id, 'expired', ARGV[6])
    stop_feeding_if_done(id)
    return false
end
if held or fed ~= ARGV[2] or edits ~= ARGV[3] then
    return false
end
expect_type('zset', LIVE .. id)
expect_batch_indexes(redis.call('HGET', batch, 'owner'))

local function feed(job_id, from, to)
    local job = JOB .. job_id
    redis.call('HSET', job, 'created_ms', sealed, 'queued_ms', now_ms(), 'start_by_ms', start_by, unpack(ARGV, from, to))
    set_status(job, 'queued')
    keep_live(job)
    index_queued(job, job_id)
    emit(job, job_id, 'submitted')
end

local at = 8
for _ = 1, tonumber(ARGV[7]) do
    open_queue(ARGV[at], ARGV[at + 1])
    at = at + 2
end
local a_row, made = tonumber(ARGV[at]), {}
for i = at + 1, #ARGV, a_row do
    if redis.call('EXISTS', JOB .. ARGV[i]) == 0 then
        feed(ARGV[i], i + 1, i + a_row - 1)
        made[#made + 1] = ARGV[i]
    end
end
add_waiting(id, -#made)
redis.call('HSET', batch, 'fed', ARGV[4])
if ARGV[5] ~= '' then
    redis.call('HDEL', KEYS[2], ARGV[5])
end
keep_feeding(id)
stop_feeding_if_done(id)
return made
