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
local status, attempt, worker, cancel, owner, rendering, fetching = unpack(redis.call('HMGET', job,
    'status', 'attempt', 'worker', 'cancel', 'owner', 'at:rendering', 'at:fetching'))
if ARGV[3] == '' then
    if not has_lapsed(job, id, ARGV[2]) then
        return 'lost'
    end
elseif attempt ~= ARGV[2] or worker ~= ARGV[3] then
    return 'lost'
elseif status ~= 'running' then
    -- The same call again, after its answer was lost, or it is over in another way.
    return status == target and 'ok' or 'lost'
end
if target == 'succeeded' and cancel then
    return 'cancel'
end
if #ARGV > 8 then
    redis.call('HSET', job, unpack(ARGV, 9))
end
if ARGV[8] ~= '' then
    redis.call('HINCRBY', job, ARGV[8], 1)
end
charge_owner(owner, rendering, fetching)
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
