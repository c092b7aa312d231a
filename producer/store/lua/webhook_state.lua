-- Disable a webhook, enable it again, or forget it with all that was to be told to it.
--
-- ARGV[1]  the webhook, `owner:name`      ARGV[2]  its record from now on, JSON ('' = forget it)
-- ARGV[3]  '1' if it is told what waits for it
--
-- Returns 1, or 0 if there is none of that name.
local hook = ARGV[1]
if redis.call('HEXISTS', WEBHOOKS, hook) == 0 then
    return 0
end
redis.call('HDEL', WEBHOOKS_FAILING, hook)
if ARGV[2] ~= '' then
    redis.call('HSET', WEBHOOKS, hook, ARGV[2])
    if ARGV[3] == '1' then
        schedule(hook, now_ms())
    else
        redis.call('ZREM', DELIVERIES, hook)
    end
    return 1
end
redis.call('HDEL', WEBHOOKS, hook)
redis.call('HDEL', WEBHOOK_SECRETS, hook)
redis.call('ZREM', DELIVERIES, hook)
for _, list in ipairs({DELIVERIES .. ':' .. hook, DELIVERIES .. ':' .. hook .. ':settled'}) do
    -- Its deliveries expire by themselves: nobody finds them without these lists.
    redis.call('DEL', list)
end
return 1
