-- Let held jobs wait for a node again. Each needs a message then.
--
-- ARGV     job id, ...
--
-- Returns for each its status ('' = no such job), and 'released' for those that were held.
local outcomes = {}
for i, id in ipairs(ARGV) do
    local job = JOB .. id
    local status = redis.call('HGET', job, 'status')
    if status == 'held' then
        redis.call('HSET', job, 'queued_ms', now_ms())
        set_status(job, 'queued')
        index_queued(job, id)
        emit(job, id, 'released')
        status = 'released'
    end
    outcomes[i] = status or ''
end
return outcomes
