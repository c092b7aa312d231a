-- Take what is due to be told outside. Whoever takes it has some time for it; then it is due again.
--
-- ARGV[1]  at most so many     ARGV[2]  ms that the caller has
--
-- Returns {{`job:<id>` or `batch:<id>`, when it is due again, ms}, ...}, what has waited longest first.
local taken, again = {}, string.format('%.0f', now_ms() + tonumber(ARGV[2]))
for _, subject in ipairs(redis.call('ZRANGE', OUTBOX, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    redis.call('ZADD', OUTBOX, 'XX', again, subject)
    taken[#taken + 1] = {subject, again}
end
return taken
