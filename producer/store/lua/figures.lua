-- Count what metrics tell of queues, webhooks and actions. Of jobs only one a queue and priority is looked at, so that it takes
-- as long however many wait.
--
-- ARGV     every priority
--
-- Returns {now, ms, jobs that wait and stand in no queue, lines of jobs, webhooks, actions}:
--   lines     {{queue, priority, jobs, since when the first of them waits, ms}, ...}
--   webhooks  {messages that are not delivered, when the first of them was due, ms ('' = none waits), webhooks that fail}
--   actions   {those that have not ended, when the first of them was asked for, ms ('' = nobody knows), when the one had its
--             last turn that waits longest for its next, ms}
local function waiting()
    local lines, in_no_queue = queue_lines(ARGV), redis.call('ZCARD', DELAYED)
    for _, line in ipairs(lines) do
        local queued, created = fields_of(JOB .. line[5], 'queued_ms', 'created_ms')
        line[4] = time_of(queued or created) or line[4]
        line[5] = nil
        in_no_queue = in_no_queue - line[3]
    end
    return math.max(0, in_no_queue), lines
end

local function first_score(key)
    return time_of(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end

-- What is due to a receiver that fails waits for that one, and not for a sender.
local function webhooks()
    local undelivered, oldest = redis.call('ZCARD', OUTBOX), first_score(OUTBOX)
    for _, hook in ipairs(redis.call('ZRANGE', DELIVERIES, 0, -1)) do
        local due = DELIVERIES .. ':' .. hook
        undelivered = undelivered + redis.call('ZCARD', due)
        local first = redis.call('HEXISTS', WEBHOOKS_FAILING, hook) == 0 and first_score(due)
        oldest = first and math.min(first, oldest or first) or oldest
    end
    return {undelivered, oldest or '', redis.call('HLEN', WEBHOOKS_FAILING)}
end

local function actions()
    local open, oldest = redis.call('ZRANGE', ACTIONS_WAITING, 0, -1), nil
    for _, id in ipairs(open) do
        local asked = time_of(redis.call('ZSCORE', ACTIONS_ASKED, id))
        oldest = asked and math.min(asked, oldest or asked) or oldest
    end
    return {#open, oldest or '', first_score(ACTIONS_WAITING) or ''}
end

local in_no_queue, lines = waiting()
return {now_ms(), in_no_queue, lines, webhooks(), actions()}
