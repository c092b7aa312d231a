-- Ask for a job's end. One that waits ends here; the worker of one that runs is called.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  ms to keep the record
--
-- Returns {'cancelled', old status}, {'requested', status}, {'ended', status} or {'missing', ''}.
local job, id = KEYS[1], ARGV[1]
local status = redis.call('HGET', job, 'status')
if not status then
    return {'missing', ''}
end
if status == 'held' or status == 'queued' then
    end_job(job, id, 'cancelled', ARGV[2], 'cancelled')
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
