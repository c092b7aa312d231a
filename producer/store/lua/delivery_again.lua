-- Have a settled delivery tried again from the first rung of the ladder.
--
-- ARGV[1]  the webhook, `owner:name`      ARGV[2]  the delivery
--
-- Returns 1, or 0 if there is none of that id. One that waits is due at once.
local hook, id = ARGV[1], ARGV[2]
local key = DELIVERY .. hook .. ':' .. id
if redis.call('EXISTS', key) == 0 then
    return 0
end
redis.call('HSET', key, 'state', 'waiting', 'tried', 0)
redis.call('PEXPIRE', key, INDEX_MS)
redis.call('ZREM', DELIVERIES .. ':' .. hook .. ':settled', id)
redis.call('ZADD', DELIVERIES .. ':' .. hook, now_ms(), id)
schedule_now(hook)
return 1
