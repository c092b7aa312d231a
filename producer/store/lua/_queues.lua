-- Parts for scripts, after the prelude: the queues that jobs wait in, and their indexes.

local function queued_key(queue, priority)
    return QUEUED .. queue .. ':' .. priority
end

-- Have workers look into a queue from now on.
local function open_queue(queue, needs)
    redis.call('ZADD', QUEUES_USED, now_ms(), queue)
    keep_index(QUEUES_USED)
    if redis.call('HSET', QUEUES, queue, needs) == 1 then
        redis.call('HDEL', QUEUES_RETIRED, queue)
        redis.call('PUBLISH', CALLS, 'queue ' .. queue)
    end
end

-- A job comes to its queue, which may have been retired while nobody waited there.
local function use_queue(queue)
    local needs = redis.call('HEXISTS', QUEUES, queue) == 0 and redis.call('HGET', QUEUES_RETIRED, queue)
    if needs then
        open_queue(queue, needs)
    else
        redis.call('ZADD', QUEUES_USED, now_ms(), queue)
        keep_index(QUEUES_USED)
    end
end

-- So many jobs wait to begin: those that have a record, and the rows of batches that have none yet.
local function backlog()
    local rows = redis.call('GET', WAITING)
    return redis.call('ZCARD', DELAYED) + (is_count(rows) and tonumber(rows or 0) or 0)
end

-- A node waits for work in a pool; after `holds_ms` its word is forgotten.
local function note_idle(pool_key, node, holds_ms)
    redis.call('ZREMRANGEBYSCORE', pool_key, '-inf', now_ms() - holds_ms)
    redis.call('ZADD', pool_key, now_ms(), node)
    redis.call('PEXPIRE', pool_key, holds_ms)
end

local function unindex_queued(job, id, queue, priority)
    if not queue then
        queue, priority = unpack(redis.call('HMGET', job, 'queue', 'priority'))
    end
    redis.call('ZREM', queued_key(queue, priority), id)
    redis.call('ZREM', DELAYED, id)
end

-- The job waits for a message in a queue that is open: note when it was sent, and when its start deadline falls due.
local function index_in(queue, priority, start_by, id)
    redis.call('ZADD', queued_key(queue, priority), now_ms(), id)
    keep_index(queued_key(queue, priority), start_by)
    redis.call('ZADD', DELAYED, start_by, id)
    keep_index(DELAYED, start_by)
end

-- The same of a record that has it all.
local function index_queued(job, id)
    local queue, priority, start_by = unpack(redis.call('HMGET', job, 'queue', 'priority', 'start_by_ms'))
    use_queue(queue)
    index_in(queue, priority, start_by, id)
end

-- What stands in the queues, {{queue, priority, jobs, when the first of them was sent, ms, its id}, ...}.
local function queue_lines(priorities)
    local lines = {}
    for _, queue in ipairs(redis.call('HKEYS', QUEUES)) do
        for _, priority in ipairs(priorities) do
            local key = queued_key(queue, priority)
            local jobs = redis.call('ZCARD', key)
            if jobs > 0 then
                local id, sent = unpack(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES'))
                lines[#lines + 1] = {queue, tonumber(priority), jobs, tonumber(sent), id}
            end
        end
    end
    return lines
end
