-- An end that was taken out of the outbox becomes a delivery to a webhook, in one step.
--
-- ARGV[1]  `job:<id>` or `batch:<id>` ('' = it is no end, but a test)
-- ARGV[2]  when it would be due again, as it was taken
-- ARGV[3]  the webhook, `owner:name`
-- ARGV[4]  the delivery's id; one of that id is left as it is
-- ARGV[5]  its event           ARGV[6]  its body
-- ARGV[7]  '1' if it is not to be tried, as the webhook is disabled
-- ARGV[8]  of a test: how many deliveries may wait for the webhook, this one included
-- ARGV[9]  '1' if the entry stays in the outbox, as other webhooks are told of it, too
--
-- Returns 1, 0 if the end is not the caller's any more, or -1 if so many wait that no test is sent.
if ARGV[1] ~= '' and not is_taken(ARGV[1], ARGV[2]) then
    return 0
end
local hook, id = ARGV[3], ARGV[4]
local key, due = DELIVERY .. hook .. ':' .. id, DELIVERIES .. ':' .. hook
if ARGV[1] == '' and redis.call('ZCARD', due) >= tonumber(ARGV[8]) then
    return -1
end
if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'event', ARGV[5], 'subject', ARGV[1], 'body', ARGV[6], 'created_ms', now_ms())
    if ARGV[7] == '1' then
        settle_delivery(hook, id, 'dropped')
    else
        redis.call('HSET', key, 'state', 'waiting')
        redis.call('PEXPIRE', key, INDEX_MS)
        redis.call('ZADD', due, now_ms(), id)
        schedule_now(hook)
    end
end
if ARGV[1] ~= '' and ARGV[9] ~= '1' then
    settle_told(ARGV[1])
end
return 1
