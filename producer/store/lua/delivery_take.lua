-- Take the delivery that is due and has waited longest, of the webhook whose turn it is. Whoever takes it has some time
-- for it; then it is due again.
--
-- ARGV[1]  ms that the caller has
-- ARGV[2]  deliveries to one webhook at the same time, at most; to one that fails it is one, so that a receiver that
--          hangs holds up no others
-- ARGV[3]  deliveries to all webhooks of one owner at the same time, at most; half as many to those that fail
--
-- Returns {webhook, delivery, when it is due again, ms, {field, value, ...}}, or nothing if none is due.
redis.call('ZREMRANGEBYSCORE', DELIVERING, '-inf', now_ms())
local busy, of_owner, in_vain = {}, {}, {}
local function owner_of(hook)
    return string.match(hook, '^([^:]*):') or ''
end
local function fails(hook)
    return redis.call('HEXISTS', WEBHOOKS_FAILING, hook) == 1
end
for _, entry in ipairs(redis.call('ZRANGE', DELIVERING, 0, -1)) do
    local hook = string.match(entry, '^(%S*) ')
    local owner = owner_of(hook)
    busy[hook] = (busy[hook] or 0) + 1
    of_owner[owner] = (of_owner[owner] or 0) + 1
    in_vain[owner] = (in_vain[owner] or 0) + (fails(hook) and 1 or 0)
end
for _, hook in ipairs(redis.call('ZRANGE', DELIVERIES, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, 100)) do
    local due = DELIVERIES .. ':' .. hook
    local owner, most = owner_of(hook), fails(hook) and 1 or tonumber(ARGV[2])
    local is_owner_busy = (of_owner[owner] or 0) >= tonumber(ARGV[3])
        or most == 1 and (in_vain[owner] or 0) >= tonumber(ARGV[3]) / 2
    if (busy[hook] or 0) >= most or is_owner_busy then
        schedule(hook, now_ms() + 1000)
    else
        local id = redis.call('ZRANGE', due, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, 1)[1]
        local found = id and redis.call('HGETALL', DELIVERY .. hook .. ':' .. id)
        if found and #found == 0 then
            redis.call('ZREM', due, id) -- its record has expired
        elseif found then
            local again = now_ms() + tonumber(ARGV[1])
            redis.call('ZADD', due, again, id)
            redis.call('ZADD', DELIVERING, again, hook .. ' ' .. id)
            keep_until(DELIVERING, again + 60000)
            schedule(hook, now_ms())
            return {hook, id, string.format('%.0f', again), found}
        end
        schedule(hook)
    end
end
return nil
