-- A worker that came back takes the jobs its predecessor on the same node held, attempt unchanged.
--
-- ARGV[1]  node                ARGV[2]  worker (boot id)
-- ARGV[3]  lease, ms
--
-- Returns {job id, attempt, ...}.
local taken = {}
for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local job = JOB .. id
    local status, node, worker, attempt = unpack(redis.call('HMGET', job, 'status', 'node', 'worker', 'attempt'))
    if status == 'running' and node == ARGV[1] and worker ~= ARGV[2] then
        redis.call('HSET', job, 'worker', ARGV[2])
        redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[3]), id)
        emit(job, id, 'taken_back')
        taken[#taken + 1] = id
        taken[#taken + 1] = attempt
    end
end
return taken
