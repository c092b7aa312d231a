-- Return the records of jobs whose time to be packed has come, the oldest first.
--
-- ARGV[1]  ms since their end   ARGV[2]  how many
--
-- Returns {{job id, {field, value, ...}}, ...}; no fields where there is no record, or something else.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', UNPACKED, '-inf', now_ms() - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])) do
    local record = redis.pcall('HGETALL', JOB .. id)
    found[#found + 1] = {id, record.err and {} or record}
end
return found
