-- What was taken to be told is told, or is to be tried again later.
--
-- ARGV[1]  `job:<id>` or `batch:<id>`
-- ARGV[2]  when it would be due again, as it was taken: if it is another time now, somebody else has taken it, or it
--          has ended anew
-- ARGV[3]  ms from now to the next try ('' = it is told)
--
-- Returns 1, or 0 if it is not the caller's any more.
local due = redis.call('ZSCORE', OUTBOX, ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then
    return 0
end
if ARGV[3] ~= '' then
    local at = now_ms() + tonumber(ARGV[3])
    redis.call('ZADD', OUTBOX, at, ARGV[1])
    keep_until(OUTBOX, at + INDEX_MS)
    return 1
end
redis.call('ZREM', OUTBOX, ARGV[1])
local kind, id = string.match(ARGV[1], '^(%a+):(.+)$')
local record = (kind == 'batch' and BATCH or JOB) .. (id or '')
if redis.call('EXISTS', record) == 1 then
    redis.call('HSET', record, 'told_ms', now_ms())
end
return 1
