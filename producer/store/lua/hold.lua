-- Keep jobs back that wait for a node. A message that is on its way finds nothing to claim.
--
-- KEYS[1]  batch hash: they are held because it is, and only while it is (none: a person asks)
-- ARGV     job id, ...
--
-- One whose start deadline makes no sense stays as it is.
--
-- Returns for each its status now ('' = no such job).
local is_wanted, outcomes = not KEYS[1] or redis.call('HEXISTS', KEYS[1], 'held_ms') == 1, {}
for i, id in ipairs(ARGV) do
    local job = JOB .. id
    local status, start_by = fields_of(job, 'status', 'start_by_ms')
    if status == 'queued' and is_wanted and time_of(start_by) then
        unindex_queued(job, id)
        redis.call('HDEL', job, 'retry_at_ms', 'waiting_for', 'suspect')
        set_status(job, 'held')
        redis.call('ZADD', DELAYED, start_by, id)
        keep_index(DELAYED, start_by)
        emit(job, id, 'held')
        status = 'held'
    end
    outcomes[i] = status or packed_row(id) or ''
end
return outcomes
