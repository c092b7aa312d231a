-- A worker that came back takes the jobs its predecessor on the same node held, attempt unchanged. Called again, it
-- gets the same ones: it holds no others before it is told of these.
--
-- ARGV[1]  node                ARGV[2]  worker (boot id)
-- ARGV[3]  lease, ms
-- ARGV[4]  ms after which a worker that died while it rendered was not ended by the job
--
-- Returns {job id, attempt, deaths, ...}: how often a worker died of this attempt, as far as anybody can tell.

-- A worker that left in order says so, see leave. One that is killed now and then, hours into a render, says nothing of
-- the job; one that dies soon after it took the job, or while it handles what came out of it, does.
local function died_of_it(job)
    local worker, left, phase, taken, began =
        unpack(redis.call('HMGET', job, 'worker', 'left', 'phase', 'taken_ms', 'at:preparing'))
    if left == worker then
        return false
    end
    local since = tonumber(taken or began)
    return phase == 'fetching' or phase == 'storing' or (since and now_ms() - since < tonumber(ARGV[4]))
end

local taken = {}
for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local job = JOB .. id
    local status, node, worker, attempt = fields_of(job, 'status', 'node', 'worker', 'attempt')
    if status == 'running' and node == ARGV[1] then
        if worker ~= ARGV[2] then
            if died_of_it(job) then
                next_number(job, 'deaths', 1)
            end
            redis.call('HSET', job, 'worker', ARGV[2], 'taken_ms', now_ms())
            count_recovered(pool_of(redis.call('HGET', job, 'queue')), 'taken_back', 1)
            emit(job, id, 'taken_back')
        end
        redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[3]), id)
        taken[#taken + 1] = id
        taken[#taken + 1] = attempt
        taken[#taken + 1] = redis.call('HGET', job, 'deaths') or '0'
    end
end
return taken
