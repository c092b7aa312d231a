-- One call for all that a worker holds: beat for its node, renew every lease.
--
-- KEYS[1]  node hash
-- ARGV[1]  node                ARGV[2]  worker (boot id)
-- ARGV[3]  lease, ms           ARGV[4]  ms to keep the node's record after this beat
-- ARGV[5]  pool in which the node waits for work ('' = it does not)
-- ARGV[6]  what the node has done, JSON ('' = nothing is written)
-- ARGV[7..] job id, attempt, ms that it fetched before it began to store ('' = it does not, or that is written down), ...
--
-- Returns {holder, {lost job id, ...}, {job id whose cancel was asked for, ...}, 1 if somebody watches events,
-- what is wanted of the node and so on, as of register.lua};
-- holder is the worker that the node's record names ('' = no record).
local node = redis.call('HMGET', KEYS[1], 'worker', 'silent', unpack(WANTED))
local holder, silent = node[1] or '', node[2]
if holder == ARGV[2] then
    redis.call('HSET', KEYS[1], 'beat_ms', now_ms(), unpack(ARGV[6] ~= '' and {'work', ARGV[6]} or {}))
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('ZADD', NODES, now_ms(), ARGV[1])
    if silent then
        note_heard(ARGV[1])
    end
    if ARGV[5] ~= '' then
        note_idle(IDLE .. ARGV[5], ARGV[1], ARGV[3])
    end
end
local lost, cancels = {}, {}
for i = 7, #ARGV, 3 do
    local id, job = ARGV[i], JOB .. ARGV[i]
    if holds(job, ARGV[i + 1], ARGV[2]) then
        redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[3]), id)
        if ARGV[i + 2] ~= '' then
            local known = read_fields(job, {'at:fetching', 'at:storing', unpack(EMITTED)})
            if not known['at:storing'] then
                enter_phase(job, id, 'storing', storing_ms(known, ARGV[i + 2]), known)
            end
        end
        if redis.call('HGET', job, 'cancel') then
            cancels[#cancels + 1] = id
        end
    else
        lost[#lost + 1] = id
    end
end
local wanted = told_wishes({unpack(node, 3, 2 + #WANTED)})
return {holder, lost, cancels, redis.call('EXISTS', WATCHED), unpack(wanted)}
