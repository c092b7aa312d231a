-- Take messages off a broker's list whose jobs wait in another place by now.
--
-- KEYS[1]  the broker's list
-- ARGV[1]  its queue           ARGV[2]  its priority
-- ARGV[3]  so many at the tail, the oldest, have been looked at     ARGV[4]  at most so many more
--
-- Returns how many were looked at, and how many of these were taken off.
local last = -1 - ARGV[3]
local found, dropped = redis.call('LRANGE', KEYS[1], last - ARGV[4] + 1, last), 0
local first = redis.call('LLEN', KEYS[1]) + last - #found + 1
for i, message in ipairs(found) do
    local id = string.match(message, '"id": ?"([^"]+)%.%d+"') or ''
    local status, queue, priority = unpack(redis.pcall('HMGET', JOB .. id, 'status', 'queue', 'priority'))
    if status == 'queued' and (queue ~= ARGV[1] or priority ~= ARGV[2]) then
        redis.call('LSET', KEYS[1], first + i - 1, 'moved')
        dropped = dropped + 1
    end
end
if dropped > 0 then
    redis.call('LREM', KEYS[1], -dropped, 'moved')
end
return {#found, dropped}
