-- Record a new job and what is stored beside it, and send its message. Nothing is written when it, or its idempotency
-- key, was here before, nor when it is refused.
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
-- ARGV[13] its message, as it lies in a list of the broker ('' = none)     ARGV[14] that list
-- ARGV[15..] field, value, ... of the record, but for its status
--
-- Returns {'new', id, created ms, start deadline, 0 if the message was not taken, else 1}, {'same', id of the job made
-- before}, {'reused', id}: that key, another request, {'full', how many wait}, or {'owner_full', {how many of its owner
-- wait, how many may}}.
local job, id, queue, status = KEYS[1], ARGV[1], ARGV[4], ARGV[12]
local owner, batch, priority = field_of(ARGV, 15, 'owner'), field_of(ARGV, 15, 'batch'), field_of(ARGV, 15, 'priority')
expect_indexes(owner, queue, priority)
if KEYS[2] ~= '' then
    expect_type('string', KEYS[2])
    local before = redis.call('GET', KEYS[2])
    local first, fingerprint = string.match(before or '', '^(%S+) (%S+)$')
    if first and has_record(first) then
        local is_same = fingerprint == ARGV[2] or fingerprint == ARGV[7]
        return {is_same and 'same' or 'reused', first}
    end
end
if redis.call('EXISTS', job) == 1 then
    return {'same', id}
end
if tonumber(ARGV[6]) > 0 and backlog() >= tonumber(ARGV[6]) then
    return {'full', backlog()}
end
local full = owner_full(owner, 1)
if full then
    return {'owner_full', full}
end
-- All is known of a new record that others would read of it, so that nothing is read, and each thing written once.
local start_by, life = now_ms() + tonumber(ARGV[3]), tonumber(ARGV[3]) + SHARED_MS
local until_ms = live_until(start_by)
keep_shared(KEYS[3], ARGV[8], life)
keep_shared(KEYS[4], ARGV[9], life)
keep_secrets(ARGV[10], ARGV[11], life)
local fields = {'status', status, 'created_ms', now_ms(), 'start_by_ms', start_by, 'n', 1, unpack(ARGV, 15)}
if status == 'queued' then
    fields[#fields + 1], fields[#fields + 2] = 'queued_ms', now_ms()
end
if KEYS[2] ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'idempotency', KEYS[2]
    redis.call('SET', KEYS[2], id .. ' ' .. ARGV[2], 'PXAT', until_ms)
end
redis.call('HSET', job, unpack(fields))
redis.call('PEXPIREAT', job, until_ms)
count_status(job, status, nil, batch, owner)
if not batch then
    list_single(id, owner)
    keep_listed(owner, until_ms)
end
open_queue(queue, ARGV[5])
need_queue(queue, until_ms)
if status == 'queued' then
    index_in(queue, priority, start_by, id)
end
emit(job, id, 'submitted', nil, {status = status, attempt = field_of(ARGV, 15, 'attempt'), owner = owner, n = 1})
-- The list is the broker's: what is wrong with it, or with rights to it, keeps no job from being accepted. It is no key in
-- KEYS, for which Redis would ask both rights, to read and to write, before it runs anything.
local pushed = ARGV[13] == '' or redis.pcall('LPUSH', ARGV[14], ARGV[13])
return {'new', id, now_ms(), start_by, type(pushed) == 'table' and 0 or 1}
