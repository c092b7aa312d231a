-- Count jobs that wait, by queue, priority and reason: some of all that upkeep has an eye on.
--
-- ARGV[1]  the first of them, from 0   ARGV[2]  at most so many
--
-- Returns how many were looked at, and {queue, priority, reason, jobs, since when the oldest waits, ms}, ...
local ids = redis.call('ZRANGE', DELAYED, ARGV[1], ARGV[1] + ARGV[2] - 1)
local lines, by_name = {}, {}
for _, id in ipairs(ids) do
    local status, queue, priority, why, queued, created = unpack(redis.pcall('HMGET', JOB .. id, 'status', 'queue',
        'priority', 'waiting_for', 'queued_ms', 'created_ms'))
    if (status == 'queued' or status == 'held') and queue and tonumber(priority) then
        local reason = status == 'held' and 'held' or why or 'capacity'
        local name = table.concat({queue, priority, reason}, ' ')
        local since = time_of(queued or created) or now_ms()
        if not by_name[name] then
            by_name[name] = {queue, tonumber(priority), reason, 0, since}
            lines[#lines + 1] = by_name[name]
        end
        local line = by_name[name]
        line[4], line[5] = line[4] + 1, math.min(line[5], since)
    end
end
return {#ids, lines}
