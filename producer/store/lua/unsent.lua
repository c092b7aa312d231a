-- Find queued jobs whose message is gone, in one queue at one priority.
-- The tail of the broker's list is the oldest message, so a job sent before it has none. A job that was
-- popped and is about to be claimed looks the same for milliseconds: so it takes two sightings.
--
-- KEYS[1]  zset of the jobs sent   KEYS[2]  the broker's list
-- ARGV[1]  at most so many         ARGV[2]  ms between the two sightings
--
-- Returns {job id, ...} that need a new message; they count as sent now.
-- Return the job that a message speaks of; '' if it is none of ours, for whoever reaches Redis can leave anything.
local function job_of(message)
    local is_json, found = pcall(cjson.decode, message)
    local headers = is_json and type(found) == 'table' and found['headers']
    local task_id = type(headers) == 'table' and headers['id']
    return type(task_id) == 'string' and string.match(task_id, '^(.*)%.%d+$') or ''
end

local tail = redis.pcall('LINDEX', KEYS[2], -1)
local before = now_ms()
if tail then
    local sent = type(tail) == 'string' and redis.call('ZSCORE', KEYS[1], job_of(tail))
    if not sent then
        return {} -- stale, or no message; the next worker drops it, then the tail tells again
    end
    before = tonumber(sent)
end
local gone = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '(' .. before, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local job = JOB .. id
    local status, suspect = fields_of(job, 'status', 'suspect')
    local sent = redis.call('ZSCORE', KEYS[1], id)
    if status ~= 'queued' then
        redis.call('ZREM', KEYS[1], id)
    elseif not suspect or string.match(suspect, '^%d+') ~= string.format('%.0f', sent) then
        redis.call('HSET', job, 'suspect', string.format('%.0f %.0f', sent, now_ms()))
    elseif now_ms() - tonumber(string.match(suspect, '%d+$')) >= tonumber(ARGV[2]) then
        redis.call('HDEL', job, 'suspect')
        redis.call('ZADD', KEYS[1], now_ms(), id)
        gone[#gone + 1] = id
    end
end
if #gone > 0 then
    local queue = string.match(string.sub(KEYS[1], #QUEUED + 1), '^(.*):%d+$')
    count_recovered(pool_of(queue), 'resent', #gone)
end
return gone
