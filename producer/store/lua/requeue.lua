-- End an attempt without ending the job: it waits again, as the next attempt.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt that ends
-- ARGV[3]  worker that holds it ('' = upkeep, and only once the lease has run out)
-- ARGV[4]  'charged' if the attempt counts against the job, 'free' if only as one, '' if not at all
-- ARGV[5]  the attempt's story, JSON
-- ARGV[6]  ms to wait before it may start (0 = now)
-- ARGV[7]  ms to keep the record if a cancel was asked for and ends it here
-- ARGV[8]  '1' if another node is to be preferred
--
-- Returns {'queued', attempt}, {'delayed', attempt}, {'cancelled', attempt} or {'lost', 0}.
local job, id, attempt = KEYS[1], ARGV[1], ARGV[2]
if ARGV[3] == '' then
    if not has_lapsed(job, id, attempt) then
        return {'lost', 0}
    end
elseif not holds(job, attempt, ARGV[3]) then
    return {'lost', 0}
end
redis.call('HSET', job, 'attempt:' .. attempt, ARGV[5])
complete_story(job, attempt)
local owner, rendering, fetching, queue, cancel =
    unpack(redis.call('HMGET', job, 'owner', 'at:rendering', 'at:fetching', 'queue', 'cancel'))
local cause = cjson.decode(ARGV[5])['error']['cause']
count_totals(pool_of(queue), {
    rendered_ms = charge_owner(owner, rendering, fetching),
    ['attempt ' .. cause .. ' ' .. (ARGV[4] ~= '' and ARGV[4] or 'uncounted')] = 1,
})
if ARGV[3] == '' and not cancel then
    count_recovered(pool_of(queue), 'requeued', 1)
end
if ARGV[4] ~= '' then
    next_number(job, ARGV[4], 1)
end
if cancel then
    end_job(job, id, 'cancelled', ARGV[7], 'cancelled')
    return {'cancelled', tonumber(attempt)}
end
redis.call('ZREM', LEASES, id)
-- The next attempt would rather run elsewhere; see claim.
local node, shun = unpack(redis.call('HMGET', job, 'node', 'shun'))
if node and ARGV[8] == '1' then
    redis.call('HSET', job, 'shun', (shun or ' ') .. node .. ' ')
end
redis.call('HDEL', job, 'worker', 'claim', 'prompt_id', 'phase', 'progress', 'waiting_for', 'left', 'taken_ms', 'deaths',
    'at:preparing', 'at:ahead', 'at:rendering', 'at:fetching', 'at:storing')
local next_attempt = redis.call('HINCRBY', job, 'attempt', 1)
redis.call('HSET', job, 'queued_ms', now_ms())
set_status(job, 'queued')
keep_live(job)
if tonumber(ARGV[6]) > 0 then
    redis.call('HSET', job, 'waiting_for', 'retry_at', 'retry_at_ms', now_ms() + tonumber(ARGV[6]))
    redis.call('ZADD', DELAYED, now_ms() + tonumber(ARGV[6]), id)
    keep_index(DELAYED, redis.call('HGET', job, 'start_by_ms'))
else
    index_queued(job, id)
end
emit(job, id, 'requeued', {'cause', cause})
redis.call('HDEL', job, 'node')
return {tonumber(ARGV[6]) > 0 and 'delayed' or 'queued', next_attempt}
