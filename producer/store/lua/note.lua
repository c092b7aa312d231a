-- Write down how far an attempt is.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id)    ARGV[4]  phase it enters ('' = the same)
-- ARGV[5]  progress, JSON ('' = none)
--
-- Returns 'ok', 'cancel' (written, and somebody asked for the job's end) or 'lost'.
local job, id, phase, progress = KEYS[1], ARGV[1], ARGV[4], ARGV[5]
local status, attempt, worker, node, owner, cancel, entered =
    unpack(redis.call('HMGET', job, 'status', 'attempt', 'worker', 'node', 'owner', 'cancel', 'at:' .. phase))
if status ~= 'running' or attempt ~= ARGV[2] or worker ~= ARGV[3] then
    return 'lost'
end
local known = {status, attempt, node, owner}
if phase ~= '' then
    -- Who took the job back goes through phases again.
    redis.call('HSET', job, 'phase', phase, 'at:' .. phase, entered or now_ms())
    emit(job, id, 'phase', {'phase', phase}, known)
end
if progress ~= '' then
    redis.call('HSET', job, 'progress', progress)
    emit(job, id, 'progress', {'progress', progress}, known)
end
return cancel and 'cancel' or 'ok'
