-- Retire queues that nobody has used for long: workers ask each queue they serve in every pop, and whoever hands
-- in many combinations of models makes many. What a retired one needs is kept for as long as a record names it.
--
-- ARGV[1]  ms without a job after which a queue is retired
-- ARGV[2]  at most so many
-- ARGV[3]  what kombu's key of a queue's bindings begins with
-- ARGV[4..] every priority, and what follows a queue's name in its message list at that priority
--
-- Returns {queue, ...} that were retired.
local function is_empty(queue)
    for i = 4, #ARGV, 2 do
        local waits = redis.call('EXISTS', queued_key(queue, ARGV[i]), queue .. ARGV[i + 1])
        if waits > 0 then
            return false
        end
    end
    return true
end

-- Those of an older version have never been noted as used.
for _, queue in ipairs(redis.call('HKEYS', QUEUES)) do
    redis.call('ZADD', QUEUES_USED, 'NX', now_ms(), queue)
end
keep_index(QUEUES_USED)

local retired = {}
for _, queue in ipairs(redis.call('ZRANGE', QUEUES_USED, '-inf', now_ms() - ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
    local needs = redis.call('HGET', QUEUES, queue)
    if needs and not is_empty(queue) then
        redis.call('ZADD', QUEUES_USED, now_ms(), queue)
    else
        redis.call('ZREM', QUEUES_USED, queue)
        local needed_until = tonumber(redis.call('ZSCORE', QUEUES_NEEDED, queue) or 0)
        if needs and needed_until > now_ms() then
            redis.call('HSET', QUEUES_RETIRED, queue, needs)
            keep_until(QUEUES_RETIRED, needed_until)
        end
        redis.call('HDEL', QUEUES, queue)
        redis.call('DEL', ARGV[3] .. queue)
        retired[#retired + 1] = queue
    end
end
if #retired > 0 then
    redis.call('PUBLISH', CALLS, 'queue')
end
for _, queue in ipairs(redis.call('ZRANGE', QUEUES_NEEDED, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
    redis.call('ZREM', QUEUES_NEEDED, queue)
    redis.call('HDEL', QUEUES_RETIRED, queue)
end
return retired
