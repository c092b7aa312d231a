-- Return batches of which results may have to be written, the one first that has waited longest.
--
-- ARGV[1]  ms since a batch ended           ARGV[2]  ms after which it is returned again, unless it is left
-- ARGV[3]  how many
--
-- Returns {{batch, mark}, ...}: with the mark it can be left, if nothing has happened since.
local found, since = {}, now_ms() - tonumber(ARGV[1])
for _, batch in ipairs(redis.call('ZRANGE', RESULTS, '-inf', since, 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
    if redis.call('EXISTS', BATCH .. batch) == 1 then
        local mark = string.format('%.0f', since + tonumber(ARGV[2]))
        redis.call('ZADD', RESULTS, mark, batch)
        found[#found + 1] = {batch, mark}
    else
        redis.call('ZREM', RESULTS, batch)
    end
end
return found
