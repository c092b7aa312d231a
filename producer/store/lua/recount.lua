-- Count a batch's jobs anew; set its counts, if asked. A job that was made again counts as the newest one made of it.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  '1' to mend
-- ARGV[3]  sum of the counts before its jobs were looked up: moves keep it, a new job adds to it
-- ARGV[4]  '1' if every job of it still has its record; else of the ended ones there may be more than we find
-- ARGV[5..] job id, ...
--
-- Returns {{status, count, recount}, ...} for the counts that are wrong; none while the batch grows.
local LIVE, ENDED = {'held', 'queued', 'running'}, {'succeeded', 'failed', 'cancelled', 'expired'}

local function count_of(status)
    return tonumber(redis.call('HGET', KEYS[1], status) or 0) or 0
end

local function newest(id)
    local made = redis.call('HGET', JOB .. id, 'retried_as')
    while made do
        id = made
        made = redis.call('HGET', JOB .. id, 'retried_as')
    end
    return id
end

local function recounted()
    local recount, seen = {}, {}
    -- Rows that ended together with their batch never had records.
    local rest, rows = unpack(redis.call('HMGET', KEYS[1], 'rest', 'rest_rows'))
    if rest then
        recount[rest] = tonumber(rows)
    end
    for i = 5, #ARGV do
        local id = newest(ARGV[i])
        local status, batch = unpack(redis.call('HMGET', JOB .. id, 'status', 'batch'))
        if status and batch == ARGV[1] and not seen[id] then
            seen[id] = true
            recount[status] = (recount[status] or 0) + 1
        end
    end
    return recount
end

local sum = 0
for _, statuses in ipairs({LIVE, ENDED}) do
    for _, status in ipairs(statuses) do
        sum = sum + count_of(status)
    end
end
if sum ~= tonumber(ARGV[3]) then
    return {}
end

local recount, wrong = recounted(), {}
local function compare(status, may_be_more)
    local is, should = count_of(status), recount[status] or 0
    if is < should or (is > should and not may_be_more) then
        wrong[#wrong + 1] = {status, is, should}
        if ARGV[2] == '1' then
            redis.call('HSET', KEYS[1], status, should)
            keep_index(KEYS[1])
        end
    end
end
for _, status in ipairs(LIVE) do
    compare(status, false)
end
for _, status in ipairs(ENDED) do
    compare(status, ARGV[4] ~= '1')
end
return wrong
