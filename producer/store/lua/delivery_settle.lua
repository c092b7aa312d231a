-- A try at a delivery is over.
--
-- ARGV[1]  the webhook, `owner:name`      ARGV[2]  the delivery
-- ARGV[3]  when it would be due again, as it was taken
-- ARGV[4]  what it is now: `delivered`, `failed`, `dropped`, or `waiting`
-- ARGV[5]  with `waiting`: ms from now to the next try
-- ARGV[6]  the try, JSON                  ARGV[7]  tries that are kept
--
-- Returns 1, or 0 if it is not the caller's any more: it was taken by another, or its webhook was deleted.
local hook, id = ARGV[1], ARGV[2]
local key, due = DELIVERY .. hook .. ':' .. id, DELIVERIES .. ':' .. hook
redis.call('ZREM', DELIVERING, hook .. ' ' .. id)
local taken = redis.call('ZSCORE', due, id)
if not taken or tonumber(taken) ~= tonumber(ARGV[3]) then
    return 0
end
local tries = cjson.decode(redis.call('HGET', key, 'tries') or '[]')
tries[#tries + 1] = ARGV[6]
while #tries > tonumber(ARGV[7]) do
    table.remove(tries, 1)
end
redis.call('HSET', key, 'tries', cjson.encode(tries))
next_number(key, 'tried', 1)
if ARGV[4] == 'delivered' then
    redis.call('HDEL', WEBHOOKS_FAILING, hook)
else
    next_number(WEBHOOKS_FAILING, hook, 1)
end
if ARGV[4] == 'waiting' then
    redis.call('ZADD', due, now_ms() + tonumber(ARGV[5]), id)
else
    settle_delivery(hook, id, ARGV[4])
end
if redis.call('ZSCORE', DELIVERIES, hook) then -- else it is disabled
    schedule(hook, now_ms()) -- behind those that wait, however long this one's deliveries have been due
end
return 1
