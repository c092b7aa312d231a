-- Goes before every script. Key names come from keys.py (see scripts.py), so that each stands once.
-- Scripts may touch keys beyond KEYS[1]: the fleet runs on one Redis, never on Redis Cluster.
-- Times are ms by Redis' own clock, so that no machine's clock can end a lease.

local function queued_key(queue, priority)
    return QUEUED .. queue .. ':' .. priority
end

-- Keep an index from outliving its jobs for ever.
local function keep_index(key)
    redis.call('PEXPIRE', key, INDEX_MS)
end

-- Change the status, and the batch's counts with it, so that the two never drift.
local function set_status(job, status)
    local old, batch = unpack(redis.call('HMGET', job, 'status', 'batch'))
    redis.call('HSET', job, 'status', status)
    if batch and batch ~= '' then
        if old then
            redis.call('HINCRBY', BATCH .. batch, old, -1)
        end
        redis.call('HINCRBY', BATCH .. batch, status, 1)
        keep_index(BATCH .. batch)
    end
end

-- Tell the stream, with a number that rises by one a job. `more` is a list of field, value.
local function emit(job, id, type, more)
    local n = redis.call('HINCRBY', job, 'n', 1)
    local status, attempt, node = unpack(redis.call('HMGET', job, 'status', 'attempt', 'node'))
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'job', id, 'n', n, 'type', type,
        'status', status, 'attempt', attempt, 'node', node or '', 'at', now_ms(), unpack(more or {}))
end

-- The job waits for a message: note when it was sent, and when its start deadline falls due.
local function index_queued(job, id)
    local queue, priority, start_by = unpack(redis.call('HMGET', job, 'queue', 'priority', 'start_by_ms'))
    redis.call('ZADD', queued_key(queue, priority), now_ms(), id)
    keep_index(queued_key(queue, priority))
    redis.call('ZADD', DELAYED, start_by, id)
    keep_index(DELAYED)
end

local function unindex_queued(job, id)
    local queue, priority = unpack(redis.call('HMGET', job, 'queue', 'priority'))
    redis.call('ZREM', queued_key(queue, priority), id)
    redis.call('ZREM', DELAYED, id)
end

-- A live record must outlast its start deadline, so that there is something to end.
local function keep_live(job)
    local start_by = tonumber(redis.call('HGET', job, 'start_by_ms'))
    redis.call('PEXPIREAT', job, math.max(now_ms(), start_by) + LIVE_MS)
end

-- Give the job its last status and let the record go after `keep_ms`.
local function end_job(job, id, status, keep_ms, cause)
    unindex_queued(job, id)
    redis.call('ZREM', LEASES, id)
    redis.call('HDEL', job, 'phase', 'waiting_for', 'suspect')
    redis.call('HSET', job, 'ended_ms', now_ms(), 'cause', cause)
    set_status(job, status)
    redis.call('PEXPIRE', job, keep_ms)
    emit(job, id, status, {'cause', cause})
end

-- Has this attempt's lease run out, so that upkeep may end it?
local function has_lapsed(job, id, attempt)
    local status, current = unpack(redis.call('HMGET', job, 'status', 'attempt'))
    local deadline = redis.call('ZSCORE', LEASES, id)
    return status == 'running' and current == attempt and (not deadline or tonumber(deadline) <= now_ms())
end

-- Does this attempt of this worker hold the job?
local function holds(job, attempt, worker)
    local status, current, holder = unpack(redis.call('HMGET', job, 'status', 'attempt', 'worker'))
    return status == 'running' and current == attempt and holder == worker
end
