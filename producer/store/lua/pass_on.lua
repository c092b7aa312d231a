-- Leave a queued job to other nodes: it waits a moment, then upkeep sends a new message.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt the message spoke of
-- ARGV[3]  ms to wait
local job, id = KEYS[1], ARGV[1]
local status, attempt = unpack(redis.call('HMGET', job, 'status', 'attempt'))
if status == 'queued' and attempt == ARGV[2] then
    unindex_queued(job, id)
    redis.call('HSET', job, 'retry_at_ms', now_ms() + tonumber(ARGV[3]), 'waiting_for', 'another_node')
    redis.call('ZADD', DELAYED, now_ms() + tonumber(ARGV[3]), id)
    keep_index(DELAYED, redis.call('HGET', job, 'start_by_ms'))
end
return 'ok'
