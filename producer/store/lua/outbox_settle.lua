-- What was taken to be told is told, or is to be tried again later.
--
-- ARGV[1]  `job:<id>` or `batch:<id>`
-- ARGV[2]  when it would be due again, as it was taken
-- ARGV[3]  ms from now to the next try ('' = it is told)
--
-- Returns 1, or 0 if it is not the caller's any more.
if not is_taken(ARGV[1], ARGV[2]) then
    return 0
end
if ARGV[3] ~= '' then
    local at = now_ms() + tonumber(ARGV[3])
    redis.call('ZADD', OUTBOX, at, ARGV[1])
    keep_until(OUTBOX, at + INDEX_MS)
else
    settle_told(ARGV[1])
end
return 1
