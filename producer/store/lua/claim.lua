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
-- {'shunned', ' node node '}: the nodes where it failed, or {'unreadable', status}: it makes no sense, and stays as it is.
local job, id = KEYS[1], ARGV[1]
local record = read_record(job)
local status, owner, queue = record.status, record.owner, record.queue
if not status then
    return {'refused', ''}
end
if status == 'running' and record.claim == ARGV[7] then
    return {'claimed', flat_of(record)}
end
if status ~= 'queued' or record.attempt ~= ARGV[2] then
    return {'refused', status}
end
if not (tonumber(record.v) and time_of(record.start_by_ms) and time_of(record.queued_ms or record.created_ms)) then
    return {'unreadable', status}
end
if tonumber(record.v) > tonumber(ARGV[10]) then
    redis.call('HSET', job, 'waiting_for', 'newer_worker')
    return {'refused', status}
end
-- A message may be older than a move of its job to another pool, which has a message of its own.
local pool = record.moved and string.match(queue, '^comfyfleet%.pool%.(.*)%.[^.]*$')
local own_pool = pool and redis.call('HGET', NODE .. ARGV[3], 'pool')
if own_pool and pool ~= own_pool then
    return {'refused', status}
end
local is_late = tonumber(record.start_by_ms) <= now_ms()
if is_late and not record.started_ms then
    end_job(job, id, 'expired', ARGV[8], 'start_deadline')
    return {'refused', 'expired'}
end
local shun = record.shun
if shun and string.find(shun, ' ' .. ARGV[3] .. ' ', 1, true)
    and now_ms() - tonumber(record.queued_ms or record.created_ms) < tonumber(ARGV[9]) then
    return {'shunned', shun}
end
unindex_queued(job, id, queue, record.priority)
if record.waiting_for or record.suspect or record.retry_at_ms then
    redis.call('HDEL', job, 'waiting_for', 'suspect', 'retry_at_ms')
    record.waiting_for, record.suspect, record.retry_at_ms = nil, nil, nil
end
local n = next_n(record.n)
local changes = {'status', 'running', 'node', ARGV[3], 'worker', ARGV[4], 'claim', ARGV[7], 'prompt_id', ARGV[6],
    'phase', 'preparing', 'at:preparing', now_ms(), 'started_ms', record.started_ms or now_ms(), 'n', n}
redis.call('HSET', job, unpack(changes))
count_status(job, 'running', 'queued', record.batch, owner)
redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[5]), id)
if is_late then -- until then the record lives by its start deadline, as it has since it came to its queue
    keep_live(job)
end
emit(job, id, 'claimed', nil, {status = 'running', attempt = record.attempt, node = ARGV[3], owner = owner, n = n})
if record.hook and not record.started_ms then
    put_event('job.started', id, owner, record.hook)
end
for i = 1, #changes, 2 do
    record[changes[i]] = changes[i + 1]
end
return {'claimed', flat_of(record)}
