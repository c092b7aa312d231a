-- End a job for the attempt that holds it; with 'succeeded' this is the commit, which also counts how long it rendered.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id), or '' for upkeep, which may only end what has lapsed
-- ARGV[4]  terminal status
-- ARGV[5]  ms to keep the record
-- ARGV[6]  cause ('' = none)   ARGV[7]  '1' to list it as a dead letter
-- ARGV[8]  how the attempt counts: 'charged', 'free' or ''
-- ARGV[9..] field, value, ... to write with it
--
-- Returns 'ok', 'cancel' (a cancel came first: nothing written, end it as cancelled) or 'lost'.
local job, id, target = KEYS[1], ARGV[1], ARGV[4]
if ARGV[3] == '' then
    if not has_lapsed(job, id, ARGV[2]) then
        return 'lost'
    end
elseif not holds(job, ARGV[2], ARGV[3]) then
    local status, attempt, worker = unpack(redis.call('HMGET', job, 'status', 'attempt', 'worker'))
    -- The same call again, after its answer was lost.
    if status == target and attempt == ARGV[2] and worker == ARGV[3] then
        return 'ok'
    end
    return 'lost'
end
if target == 'succeeded' and redis.call('HGET', job, 'cancel') then
    return 'cancel'
end
if #ARGV > 8 then
    redis.call('HSET', job, unpack(ARGV, 9))
end
if ARGV[8] ~= '' then
    redis.call('HINCRBY', job, ARGV[8], 1)
end
if target == 'succeeded' then
    count_rate(job)
else
    complete_story(job, ARGV[2])
end
end_job(job, id, target, ARGV[5], ARGV[6])
if ARGV[7] == '1' then
    redis.call('ZADD', DEAD, now_ms(), id)
end
return 'ok'
