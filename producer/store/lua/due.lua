-- Do what has fallen due: let delayed retries wait for a node again, end what nobody started in time.
--
-- ARGV[1]  at most so many     ARGV[2]  ms to keep the record of an expired job
--
-- Returns {job id, ...} that now wait and need a message.
local ready = {}
for _, id in ipairs(redis.call('ZRANGE', DELAYED, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local job = JOB .. id
    redis.call('ZREM', DELAYED, id)
    local status, retry_at, started = unpack(redis.call('HMGET', job, 'status', 'retry_at_ms', 'started_ms'))
    if status == 'queued' and retry_at then
        redis.call('HDEL', job, 'retry_at_ms', 'waiting_for')
        index_queued(job, id)
        ready[#ready + 1] = id
    elseif (status == 'queued' or status == 'held') and not started then
        end_job(job, id, 'expired', ARGV[2], 'start_deadline')
    end
end
return ready
