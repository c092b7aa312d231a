-- End a job for the attempt that holds it; with 'succeeded' this is the commit, which also counts how long it rendered.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id), or '' for upkeep, which may only end what has lapsed
-- ARGV[4]  terminal status
-- ARGV[5]  ms to keep the record
-- ARGV[6]  cause ('' = none)   ARGV[7]  '1' to list it as a dead letter
-- ARGV[8]  how the attempt counts: 'charged', 'free' or ''
-- ARGV[9]  ms that it fetched before it began to store, if that was not written down then ('' = it was)
-- ARGV[10] device of its node ('' = not known)
-- ARGV[11..] field, value, ... to write with it
--
-- Returns 'ok', 'cancel' (a cancel came first: nothing written, end it as cancelled) or 'lost'.
local job, id, target = KEYS[1], ARGV[1], ARGV[4]
local known = read_fields(job, {'worker', 'cancel', 'shape', 'taken_ms', 'charged', 'free', 'queued_ms',
    'at:preparing', 'at:ahead', 'at:rendering', 'at:fetching', 'at:storing', unpack(ENDING)})
if ARGV[3] == '' then
    if not has_lapsed(job, id, ARGV[2]) then
        return 'lost'
    end
elseif known.attempt ~= ARGV[2] or known.worker ~= ARGV[3] then
    return 'lost'
elseif known.status ~= 'running' then
    -- The same call again, after its answer was lost, or it is over in another way.
    return known.status == target and 'ok' or 'lost'
end
if target == 'succeeded' and known.cancel then
    return 'cancel'
end
local fields, totals = {unpack(ARGV, 11)}, {}
for i = 1, #fields, 2 do
    known[fields[i]] = fields[i + 1]
end
if ARGV[8] ~= '' then
    fields[#fields + 1] = ARGV[8]
    fields[#fields + 1] = (tonumber(known[ARGV[8]] or 0) or 0) + 1
    totals['attempt ' .. ARGV[6] .. ' ' .. ARGV[8]] = 1
end
if ARGV[9] ~= '' and not known['at:storing'] then
    fields[#fields + 1] = 'at:storing'
    known['at:storing'] = storing_ms(known, ARGV[9])
    fields[#fields + 1] = known['at:storing']
end
totals.rendered_ms = charge_owner(known.owner, known['at:rendering'], known['at:fetching'])
if target == 'succeeded' then
    count_rate(known, ARGV[10])
    count_stages(known, totals)
elseif #fields > 0 then
    redis.call('HSET', job, unpack(fields))
    fields = {}
    complete_story(job, ARGV[2])
end
end_job(job, id, target, ARGV[5], ARGV[6], fields, known, totals)
if ARGV[7] == '1' then
    redis.call('ZADD', DEAD, now_ms(), id)
end
return 'ok'
