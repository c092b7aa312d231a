-- Parts for scripts, after batches: the status of a job, and all that counts and lists it.

local function is_live(status)
    return status == 'held' or status == 'queued' or status == 'running'
end

local OWNERS_COUNT = {held = 'waiting', queued = 'waiting', running = 'running'}

-- Count a change of status, which the caller writes, for the job's owner and its batch, and in the batch's list of live
-- jobs, so that they never drift. `old` is the status so far, nil for a new job.
local function count_status(job, status, old, batch, owner)
    local was, is = OWNERS_COUNT[old or ''], OWNERS_COUNT[status]
    if owner and was ~= is then
        count_owner(owner, was, was and -1 or 0)
        count_owner(owner, is, is and 1 or 0)
    end
    if not batch or batch == '' then
        return
    end
    if old then
        add_count(BATCH .. batch, old, -1)
    end
    add_count(BATCH .. batch, status, 1)
    local id = string.sub(job, #JOB + 1)
    if is_live(status) then
        redis.call('ZADD', LIVE .. batch, 'NX', now_ms(), id)
        keep_index(LIVE .. batch, redis.call('HGET', job, 'start_by_ms'))
    else
        redis.call('ZREM', LIVE .. batch, id)
    end
    if is_live(status) ~= is_live(old) then
        note_finish(batch)
    end
    keep_batch(batch)
end

-- Change the status, and all that counts it.
local function set_status(job, status)
    local old, batch, owner = unpack(redis.call('HMGET', job, 'status', 'batch', 'owner'))
    redis.call('HSET', job, 'status', status)
    count_status(job, status, old, batch, owner)
end

-- List a job that was submitted singly; the rows of a batch are listed by it. Before `keep_live`, which gives
-- the list its life.
local function list_job(job, id)
    local batch, owner = unpack(redis.call('HMGET', job, 'batch', 'owner'))
    if not batch then
        list_single(id, owner)
    end
end

-- List a job that has ended without success, for as long as its record stays.
local function list_ended(id, status, keep_ms)
    if status ~= 'succeeded' then
        redis.call('ZADD', ENDED .. status, now_ms(), id)
        keep_until(ENDED .. status, now_ms() + tonumber(keep_ms))
    end
end

-- Until when a live record must be there: it outlasts its start deadline, so that there is something to end.
local function live_until(start_by)
    return math.max(now_ms(), tonumber(start_by)) + LIVE_MS
end

-- What a queue needs is kept for as long as a job of it may be made again: once it has ended, for as long as it is kept.
local function need_queue(queue, until_ms)
    redis.call('ZADD', QUEUES_NEEDED, 'GT', until_ms + INDEX_MS, queue)
    keep_until(QUEUES_NEEDED, until_ms + INDEX_MS)
end

-- Keep a live record. Its idempotency key lives as long as it.
local function keep_live(job)
    local start_by, queue, key, batch, owner =
        unpack(redis.call('HMGET', job, 'start_by_ms', 'queue', 'idempotency', 'batch', 'owner'))
    local until_ms = live_until(start_by)
    redis.call('PEXPIREAT', job, until_ms)
    if not batch then
        keep_listed(owner, until_ms)
    end
    if key then
        redis.call('PEXPIREAT', key, until_ms)
    end
    need_queue(queue, until_ms)
end

-- All that a new job comes to stand in can take it. What is read before anything is written needs no look.
local function expect_indexes(owner, queue, priority)
    expect_type('zset', DELAYED, QUEUES_USED, QUEUES_NEEDED, queue and queued_key(queue, priority))
    expect_type('hash', QUEUES, QUEUES_RETIRED)
    expect_type('stream', EVENTS)
    if owner and owner ~= '' then
        expect_type('zset', OWNERS, JOBS .. ':' .. owner)
        expect_type('hash', OWNER .. owner)
    else
        expect_type('zset', JOBS)
    end
end

-- And all that a batch comes to stand in.
local function expect_batch_indexes(owner)
    expect_type('string', WAITING)
    expect_type('zset', BATCHES, FEEDING, RESULTS)
    expect_indexes(owner)
end
