-- Ask for the end of jobs. One that waits ends here; the worker of one that runs is called.
--
-- ARGV[1]  ms to keep the record of one that ends
-- ARGV[2..] job id, ...
--
-- Returns for each {'cancelled', old status}, {'requested', status}, {'ended', status} or {'missing', ''}.
local function cancel(id)
    local job = JOB .. id
    local status = fields_of(job, 'status')
    if not status then
        status = packed_row(id)
        return status and {'ended', status} or {'missing', ''}
    end
    if status == 'held' or status == 'queued' then
        end_job(job, id, 'cancelled', ARGV[1], 'cancelled')
        return {'cancelled', status}
    end
    if status == 'running' then
        if redis.call('HSETNX', job, 'cancel', 1) == 1 then
            emit(job, id, 'cancel_requested')
            redis.call('PUBLISH', CALLS, 'cancel ' .. id)
        end
        return {'requested', status}
    end
    return {'ended', status}
end

local outcomes = {}
for i = 2, #ARGV do
    outcomes[#outcomes + 1] = cancel(ARGV[i])
end
return outcomes
