-- Write down how far an attempt is.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id)    ARGV[4]  phase it enters ('' = the same)
-- ARGV[5]  progress, JSON ('' = none)
-- ARGV[6]  '1' if somebody reads the events: progress is told only then
--
-- Returns 'ok', 'cancel' (written, and somebody asked for the job's end) or 'lost'.
local job, id, phase, progress = KEYS[1], ARGV[1], ARGV[4], ARGV[5]
local known = read_fields(job, {'worker', 'cancel', 'at:' .. phase, unpack(EMITTED)})
if known.status ~= 'running' or known.attempt ~= ARGV[2] or known.worker ~= ARGV[3] then
    return 'lost'
end
if phase ~= '' then
    enter_phase(job, id, phase, now_ms(), known)
end
if progress ~= '' then
    if ARGV[6] == '1' then
        known.n = next_n(known.n)
        redis.call('HSET', job, 'progress', progress, 'n', known.n)
        emit(job, id, 'progress', {'progress', progress}, known)
    else
        redis.call('HSET', job, 'progress', progress)
    end
end
return known.cancel and 'cancel' or 'ok'
