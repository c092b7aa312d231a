-- Have jobs that wait change their place: queue and priority. What has begun since, or ended, stays as it is.
--
-- ARGV     for each job: id, its `spec` as the caller knows it, the new one, queue, what that needs, JSON, priority
--
-- Returns for each 'queued' (it needs a message), 'moved' (it is held, or waits out a delay), or '' (not moved).
local function move(id, was, spec, queue, needs, priority)
    local job = JOB .. id
    local status, found, retry_at, old_queue, old_priority =
        unpack(redis.call('HMGET', job, 'status', 'spec', 'retry_at_ms', 'queue', 'priority'))
    if (status ~= 'queued' and status ~= 'held') or found ~= was then
        return ''
    end
    redis.call('ZREM', queued_key(old_queue, old_priority), id)
    redis.call('HSET', job, 'spec', spec, 'queue', queue, 'priority', priority)
    redis.call('HDEL', job, 'suspect')
    if queue ~= old_queue then
        redis.call('HSET', job, 'moved', 1) -- a claim by an older message must know
    end
    open_queue(queue, needs)
    keep_live(job)
    local waits = status == 'queued' and not retry_at
    if waits then
        index_queued(job, id)
    end
    emit(job, id, 'moved')
    return waits and 'queued' or 'moved'
end

local outcomes = {}
for i = 1, #ARGV, 6 do
    outcomes[#outcomes + 1] = move(unpack(ARGV, i, i + 5))
end
return outcomes
