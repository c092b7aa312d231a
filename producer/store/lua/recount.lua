-- Count a batch's jobs anew; set its counts, if asked. Jobs that had ended were counted by the caller: of those only
-- one that is made again counts differently from then on, and the batch counts how often that happens.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  '1' to mend
-- ARGV[3]  sum of the counts, and   ARGV[4]  how many jobs were made again, before its jobs were looked up
-- ARGV[5]  '1' if every job of it still has its record; else of the ended ones there may be more than were found
-- ARGV[6..9] how many had succeeded, failed, been cancelled or expired
-- ARGV[10..] job id, ...: the others, whatever has become of them
--
-- Returns {{status, count, recount}, ...} for the counts that are wrong; none if the batch has grown, or jobs of it
-- were made again.
local LIVE, ENDED = {'held', 'queued', 'running'}, {'succeeded', 'failed', 'cancelled', 'expired'}

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
    return {} -- a key of another type counts nothing; the check of batches tells of it
end

-- What is no number counts as nothing; the second is what stands there.
local function count_of(name)
    local found = redis.call('HGET', KEYS[1], name)
    return is_count(found) and tonumber(found or 0) or 0, found or '0'
end

local function recounted()
    local recount = {}
    for i, status in ipairs(ENDED) do
        recount[status] = tonumber(ARGV[5 + i])
    end
    -- Rows that ended together with their batch never had records.
    local rest, rows = unpack(redis.call('HMGET', KEYS[1], 'rest', 'rest_rows'))
    if rest then
        recount[rest] = (recount[rest] or 0) + (tonumber(rows) or 0)
    end
    for i = 10, #ARGV do
        local status, batch, made = fields_of(JOB .. ARGV[i], 'status', 'batch', 'retried_as')
        if not status then
            status, made, batch = packed_row(ARGV[i])
        end
        if status and batch == ARGV[1] and not made then
            recount[status] = (recount[status] or 0) + 1
        end
    end
    return recount
end

local sum = 0
for _, statuses in ipairs({LIVE, ENDED}) do
    for _, status in ipairs(statuses) do
        sum = sum + (count_of(status))
    end
end
if sum ~= tonumber(ARGV[3]) or (count_of('made_again')) ~= tonumber(ARGV[4]) then
    return {}
end

local recount, wrong = recounted(), {}
local function compare(status, may_be_more)
    local should, is, found = recount[status] or 0, count_of(status)
    if is < should or (is > should and not may_be_more) or not is_count(found) then
        wrong[#wrong + 1] = {status, found, should}
        if ARGV[2] == '1' then
            redis.call('HSET', KEYS[1], status, should)
        end
    end
end
for _, status in ipairs(LIVE) do
    compare(status, false)
end
for _, status in ipairs(ENDED) do
    compare(status, ARGV[5] ~= '1')
end
if ARGV[2] == '1' and #wrong > 0 then
    note_finish(ARGV[1])
    keep_batch(ARGV[1])
end
return wrong
