-- Let held jobs wait for a node again. Each needs a message then.
--
-- KEYS[1]  batch hash: they are released because it is, unless it was held since (none: a person asks)
-- ARGV     job id, ...
--
-- One whose start deadline makes no sense stays as it is.
--
-- Returns for each its status ('' = no such job), and 'released' for those that were held.
local is_wanted, outcomes = not KEYS[1] or redis.call('HGET', KEYS[1], 'moving') == 'release', {}
for i, id in ipairs(ARGV) do
    local job = JOB .. id
    local status, start_by = fields_of(job, 'status', 'start_by_ms')
    if status == 'held' and is_wanted and time_of(start_by) then
        redis.call('HSET', job, 'queued_ms', now_ms())
        set_status(job, 'queued')
        index_queued(job, id)
        emit(job, id, 'released')
        status = 'released'
    end
    outcomes[i] = status or ''
end
return outcomes
