-- Write down how far an attempt is.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id)    ARGV[4]  phase it enters ('' = the same)
-- ARGV[5]  progress, JSON ('' = none)
--
-- Returns 'ok', 'cancel' (written, and somebody asked for the job's end) or 'lost'.
local job, id, phase, progress = KEYS[1], ARGV[1], ARGV[4], ARGV[5]
if not holds(job, ARGV[2], ARGV[3]) then
    return 'lost'
end
if phase ~= '' then
    redis.call('HSET', job, 'phase', phase)
    redis.call('HSETNX', job, 'at:' .. phase, now_ms()) -- who took the job back goes through phases again
    emit(job, id, 'phase', {'phase', phase})
end
if progress ~= '' then
    redis.call('HSET', job, 'progress', progress)
    emit(job, id, 'progress', {'progress', progress})
end
return redis.call('HGET', job, 'cancel') and 'cancel' or 'ok'
