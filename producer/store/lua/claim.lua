-- Give a queued job to one worker: the only door from queued to running. The attempt stays.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt the message spoke of
-- ARGV[3]  node                ARGV[4]  worker (boot id)
-- ARGV[5]  lease, ms           ARGV[6]  prompt id
-- ARGV[7]  token of this call: the same call sent again gets the same answer
-- ARGV[8]  ms to keep the record if its start deadline turns out to have passed
-- ARGV[9]  ms for which a node where the job failed before is asked to leave it to others (0 = none)
-- ARGV[10] newest version of records that the caller understands
--
-- Returns {'claimed', {field, value, ...}}, {'refused', status ('' = no such job)} or
-- {'shunned', ' node node '}: the nodes where it failed.
local job, id = KEYS[1], ARGV[1]
local status, attempt, token, start_by, started, v, shun, queued, queue, priority, owner, batch, moved =
    unpack(redis.call('HMGET', job, 'status', 'attempt', 'claim', 'start_by_ms', 'started_ms', 'v', 'shun', 'queued_ms',
    'queue', 'priority', 'owner', 'batch', 'moved'))
if not status then
    return {'refused', ''}
end
if status == 'running' and token == ARGV[7] then
    return {'claimed', redis.call('HGETALL', job)}
end
if status ~= 'queued' or attempt ~= ARGV[2] then
    return {'refused', status}
end
if tonumber(v) > tonumber(ARGV[10]) then
    redis.call('HSET', job, 'waiting_for', 'newer_worker')
    return {'refused', status}
end
-- A message may be older than a move of its job to another pool, which has a message of its own.
local pool = moved and string.match(queue, '^comfyfleet%.pool%.(.*)%.[^.]*$')
local own_pool = pool and redis.call('HGET', NODE .. ARGV[3], 'pool')
if own_pool and pool ~= own_pool then
    return {'refused', status}
end
local is_late = tonumber(start_by) <= now_ms()
if is_late and not started then
    end_job(job, id, 'expired', ARGV[8], 'start_deadline')
    return {'refused', 'expired'}
end
if shun and string.find(shun, ' ' .. ARGV[3] .. ' ', 1, true) and now_ms() - tonumber(queued) < tonumber(ARGV[9]) then
    return {'shunned', shun}
end
unindex_queued(job, id, queue, priority)
redis.call('HDEL', job, 'waiting_for', 'suspect', 'retry_at_ms')
redis.call('HSET', job, 'node', ARGV[3], 'worker', ARGV[4], 'claim', ARGV[7], 'prompt_id', ARGV[6],
    'phase', 'preparing', 'at:preparing', now_ms(), 'started_ms', started or now_ms())
set_status(job, 'running', 'queued', batch, owner)
redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[5]), id)
if is_late then -- until then the record lives by its start deadline, as it has since it came to its queue
    keep_live(job)
end
emit(job, id, 'claimed', nil, {'running', attempt, ARGV[3], owner})
return {'claimed', redis.call('HGETALL', job)}
