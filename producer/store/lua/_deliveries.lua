-- Parts for the scripts that move deliveries.

-- Note when the next delivery to a webhook is due, for senders to look at; not before `not_before`.
local function schedule(hook, not_before)
    local due = DELIVERIES .. ':' .. hook
    local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
    if first then
        redis.call('ZADD', DELIVERIES, math.max(tonumber(first), not_before or 0), hook)
        keep_index(DELIVERIES)
        keep_index(due)
    else
        redis.call('ZREM', DELIVERIES, hook)
    end
end

-- A delivery to a webhook is due now. One that is due already keeps its turn: who has more is not served sooner.
local function schedule_now(hook)
    redis.call('ZADD', DELIVERIES, 'LT', now_ms(), hook)
    keep_index(DELIVERIES)
    keep_index(DELIVERIES .. ':' .. hook)
end

-- A delivery is over. The newest of them are kept.
local function settle_delivery(hook, id, state)
    local settled = DELIVERIES .. ':' .. hook .. ':settled'
    local key = DELIVERY .. hook .. ':' .. id
    redis.call('ZREM', DELIVERIES .. ':' .. hook, id)
    redis.call('HSET', key, 'state', state)
    redis.call('PEXPIRE', key, DELIVERY_KEPT_MS)
    redis.call('ZADD', settled, now_ms(), id)
    keep_index(settled)
    for _, old in ipairs(redis.call('ZRANGE', settled, 0, -DELIVERIES_KEPT - 1)) do
        redis.call('ZREM', settled, old)
        redis.call('DEL', DELIVERY .. hook .. ':' .. old)
    end
end
