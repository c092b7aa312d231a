-- Do what has fallen due: let delayed retries wait for a node again, end what nobody took in time.
-- A job that has begun once has longer than its start deadline, but less than its record lives.
--
-- ARGV[1]  at most so many     ARGV[2]  ms to keep the record of a job that ends
-- ARGV[3]  ms that a job which has begun may wait after its start deadline
-- ARGV[4]  cause, and          ARGV[5]  error, JSON, of one that waited for longer
--
-- Returns {job id, ...} that now wait and need a message.

-- Each attempt has its own last date; whoever holds and releases the job does not move it.
local function last_date(job)
    local attempt, last_call = unpack(redis.call('HMGET', job, 'attempt', 'last_call'))
    local of, date = string.match(last_call or '', '^(%d+) (%d+)$')
    if of ~= attempt then
        date = string.format('%.0f', now_ms() + tonumber(ARGV[3]))
        redis.call('HSET', job, 'last_call', attempt .. ' ' .. date)
        keep_live(job) -- nobody may have looked since the start deadline, and the record must outlast the date
    end
    return tonumber(date)
end

local function end_unless_in_time(job, id)
    local date = last_date(job)
    if date <= now_ms() then
        redis.call('HSET', job, 'error', ARGV[5])
        end_job(job, id, 'failed', ARGV[2], ARGV[4])
        redis.call('ZADD', DEAD, now_ms(), id)
    else
        redis.call('ZADD', DELAYED, date, id)
        keep_index(DELAYED, date)
    end
end

local ready = {}
for _, id in ipairs(redis.call('ZRANGE', DELAYED, '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local job = JOB .. id
    redis.call('ZREM', DELAYED, id)
    local status, retry_at, started = fields_of(job, 'status', 'retry_at_ms', 'started_ms')
    if status == 'queued' and retry_at then
        redis.call('HDEL', job, 'retry_at_ms', 'waiting_for')
        index_queued(job, id)
        ready[#ready + 1] = id
    elseif (status == 'queued' or status == 'held') and started then
        end_unless_in_time(job, id)
    elseif status == 'queued' or status == 'held' then
        end_job(job, id, 'expired', ARGV[2], 'start_deadline')
    end
end
return ready
