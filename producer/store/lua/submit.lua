-- Record a new job and what is stored beside it. Nothing is written when it, or its idempotency key, was
-- here before, nor when it is refused.
--
-- KEYS[1]  job hash            KEYS[2]  idempotency key ('' = none)
-- KEYS[3]  its template        KEYS[4]  its extra data ('' = none)
-- ARGV[1]  job id              ARGV[2]  fingerprint of the request
-- ARGV[3]  ms from now to the start deadline
-- ARGV[4]  queue               ARGV[5]  what the queue needs, JSON
-- ARGV[6]  most jobs that may wait, this one included (0 = no limit)
-- ARGV[7]  fingerprint as the first version wrote it
-- ARGV[8]  graph, packed       ARGV[9]  extra data, packed
-- ARGV[10] whose secrets it has            ARGV[11] its secrets, JSON ('' = none)
-- ARGV[12] status: queued or held
-- ARGV[13..] field, value, ... of the record, but for its status
--
-- Returns {'new', id, created ms, start deadline}, {'same', id of the job made before}, {'reused', id}: that key, another request,
-- {'full', how many wait}, or {'owner_full', {how many of its owner wait, how many may}}.
expect_indexes(field_of(ARGV, 13, 'owner'), ARGV[4], field_of(ARGV, 13, 'priority'))
expect_type('string', KEYS[2])
if KEYS[2] ~= '' then
    local before = redis.call('GET', KEYS[2])
    local id, fingerprint = string.match(before or '', '^(%S+) (%S+)$')
    if id and has_record(id) then
        local is_same = fingerprint == ARGV[2] or fingerprint == ARGV[7]
        return {is_same and 'same' or 'reused', id}
    end
end
local job, id = KEYS[1], ARGV[1]
if redis.call('EXISTS', job) == 1 then
    return {'same', id}
end
if tonumber(ARGV[6]) > 0 and backlog() >= tonumber(ARGV[6]) then
    return {'full', backlog()}
end
local full = owner_full(field_of(ARGV, 13, 'owner'), 1)
if full then
    return {'owner_full', full}
end
local start_by = now_ms() + tonumber(ARGV[3])
local status = ARGV[12]
local life = tonumber(ARGV[3]) + SHARED_MS
keep_shared(KEYS[3], ARGV[8], life)
keep_shared(KEYS[4], ARGV[9], life)
keep_secrets(ARGV[10], ARGV[11], life)
redis.call('HSET', job, 'created_ms', now_ms(), 'start_by_ms', start_by, unpack(ARGV, 13))
if KEYS[2] ~= '' then
    redis.call('HSET', job, 'idempotency', KEYS[2])
    redis.call('SET', KEYS[2], id .. ' ' .. ARGV[2]) -- keep_live bounds its life
end
set_status(job, status)
list_job(job, id)
open_queue(ARGV[4], ARGV[5])
keep_live(job)
if status == 'queued' then
    redis.call('HSET', job, 'queued_ms', now_ms())
    index_queued(job, id)
end
emit(job, id, 'submitted')
return {'new', id, now_ms(), start_by}
