-- Parts for the scripts that settle what stands in the outbox.

-- Is it still the caller's, who took it when it was to be due again at this time? If not, somebody else has taken it, or
-- it has ended anew.
local function is_taken(subject, due_again)
    local due = redis.call('ZSCORE', OUTBOX, subject)
    return due and tonumber(due) == tonumber(due_again)
end

-- It is told. Of an end the record says so, if it still lives; of what was before it, none does.
local function settle_told(subject)
    redis.call('ZREM', OUTBOX, subject)
    local kind, id = string.match(subject, '^(%a+):(.+)$')
    if kind == 'event' then
        return
    end
    local record = (kind == 'batch' and BATCH or JOB) .. (id or '')
    if redis.call('EXISTS', record) == 1 then
        redis.call('HSET', record, 'told_ms', now_ms())
    end
end
