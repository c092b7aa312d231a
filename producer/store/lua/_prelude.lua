-- Goes before every script. Key names come from keys.py (see scripts.py), so that each stands once.
-- Scripts may touch keys beyond KEYS[1]: the fleet runs on one Redis, never on Redis Cluster.
-- Times are ms by Redis' own clock, so that no machine's clock can end a lease.

-- Refuse to go on if one of these keys is there with another type: a script that fails in its middle has
-- written what is before. `translated` reads the message. The last key may be nil.
local function expect_type(wanted, ...)
    for _, key in ipairs({...}) do
        local found = redis.call('TYPE', key).ok
        if found ~= 'none' and found ~= wanted then
            error({err = 'WRONGTYPE ' .. key .. ' is ' .. found .. ', not ' .. wanted})
        end
    end
end

local function queued_key(queue, priority)
    return QUEUED .. queue .. ':' .. priority
end

-- Let a key live until a time, or longer if it does already. One that has no end yet counts as living for ever.
local function keep_until(key, at_ms)
    if redis.call('PEXPIREAT', key, at_ms, 'GT') == 0 then
        redis.call('PEXPIREAT', key, at_ms, 'NX')
    end
end

-- Keep an index from outliving its jobs for ever, but never let it go before a job that it lists: one that is
-- held may wait for years.
local function keep_index(key, start_by)
    keep_until(key, math.max(now_ms() + INDEX_MS, tonumber(start_by or 0) + LIVE_MS))
end

-- Have workers look into a queue from now on.
local function open_queue(queue, needs)
    redis.call('ZADD', QUEUES_USED, now_ms(), queue)
    keep_index(QUEUES_USED)
    if redis.call('HSET', QUEUES, queue, needs) == 1 then
        redis.call('HDEL', QUEUES_RETIRED, queue)
        redis.call('PUBLISH', CALLS, 'queue ' .. queue)
    end
end

-- A job comes to its queue, which may have been retired while nobody waited there.
local function use_queue(queue)
    local needs = redis.call('HEXISTS', QUEUES, queue) == 0 and redis.call('HGET', QUEUES_RETIRED, queue)
    if needs then
        open_queue(queue, needs)
    else
        redis.call('ZADD', QUEUES_USED, now_ms(), queue)
        keep_index(QUEUES_USED)
    end
end

-- So many jobs wait to begin: those that have a record, and the rows of batches that have none yet.
local function backlog()
    return redis.call('ZCARD', DELAYED) + tonumber(redis.call('GET', WAITING) or 0)
end

-- Keep what jobs share under its hash for as long as the longest-lived of them.
local function keep_shared(key, data, life_ms)
    if key ~= '' then
        redis.call('SET', key, data, 'NX', 'PX', life_ms)
        redis.call('PEXPIRE', key, life_ms, 'GT')
    end
end

-- Keep what nobody may see until its job, or its batch, ends; see end_job and note_finish.
local function keep_secrets(holder, data, life_ms)
    if data ~= '' then
        redis.call('SET', SECRETS .. holder, data, 'PX', life_ms)
    end
end

-- Is there a job or a batch of this id, so that an idempotency key still stands for it?
local function has_record(id)
    return redis.call('EXISTS', JOB .. id, BATCH .. id) > 0
end

-- A batch must outlast what can still happen to its jobs; its idempotency key lives as long as it.
local function keep_batch(batch)
    local start_by, key, owner = unpack(redis.call('HMGET', BATCH .. batch, 'start_by_ms', 'idempotency', 'owner'))
    local until_ms = math.max(now_ms() + INDEX_MS, tonumber(start_by or 0) + LIVE_MS)
    redis.call('PEXPIREAT', BATCH .. batch, until_ms)
    redis.call('PEXPIREAT', BATCH .. batch .. ':ended', until_ms)
    if owner then
        keep_until(OWNER .. owner, until_ms)
    end
    if key and key ~= '' then
        redis.call('PEXPIREAT', key, until_ms)
    end
end

-- Count what an owner has `waiting` or `running`; jobs without one are counted nowhere. By `moves` a recount knows
-- whether something has changed meanwhile.
local function count_owner(owner, field, by)
    if owner and owner ~= '' and by ~= 0 then
        redis.call('HINCRBY', OWNER .. owner, field, by)
        redis.call('HINCRBY', OWNER .. owner, 'moves', 1)
        keep_index(OWNER .. owner)
    end
end

-- What an owner has waiting and may have, {waiting, limit}, if it may not have so many more; else nil.
local function owner_full(owner, more)
    local limit = owner and owner ~= '' and redis.call('HGET', OWNER_LIMITS, owner)
    if limit and string.match(limit, '^%d+$') then
        limit = tonumber(limit)
        local waiting = tonumber(redis.call('HGET', OWNER .. owner, 'waiting') or 0)
        if waiting + more > limit then
            return {waiting, limit}
        end
    end
end

-- Count rows that have no record yet, in their batch, for its owner and over all.
local function add_waiting(batch, by)
    local start_by, owner = unpack(redis.call('HMGET', BATCH .. batch, 'start_by_ms', 'owner'))
    redis.call('HINCRBY', BATCH .. batch, 'waiting', by)
    count_owner(owner, 'waiting', by)
    redis.call('INCRBY', WAITING, by)
    keep_index(WAITING, start_by)
end

-- An end is to be told outside, as the record of the job or batch asks for.
local function put_outbox(subject, until_ms)
    redis.call('ZADD', OUTBOX, now_ms(), subject)
    keep_until(OUTBOX, until_ms)
end

-- A sealed batch has finished when none of its jobs waits or runs; the retry of one opens it again.
local function note_finish(batch)
    local key = BATCH .. batch
    local found = redis.call('HMGET', key, 'step', 'sealed_ms', 'hook', unpack(COUNTED))
    if not found[2] then
        return
    end
    local rows = sum(found, 4, 4) - sum(found, 5, 5)
    local left, ended = sum(found, 6, 9), sum(found, 10, 13)
    tell_step(batch, found[1], ended, math.max(rows, left + ended))
    if left == 0 then
        redis.call('DEL', SECRETS .. batch)
        if redis.call('HSETNX', key, 'ended_ms', now_ms()) == 1 then
            redis.call('ZADD', RESULTS, 'NX', now_ms(), batch)
            keep_index(RESULTS)
            emit_batch(batch, 'finished')
            if found[3] then
                redis.call('HDEL', key, 'told_ms') -- of an end before its job was made again
                put_outbox('batch:' .. batch, now_ms() + INDEX_MS)
            end
        end
    elseif redis.call('HDEL', key, 'ended_ms') == 1 then
        emit_batch(batch, 'reopened')
    end
end

-- Upkeep visits a batch for as long as it stands in `feeding`: while rows wait, or jobs of its window may
-- have to be moved.
local function keep_feeding(batch)
    local last = redis.call('ZRANGE', FEEDING, -1, -1, 'WITHSCORES')[2] or 0
    redis.call('ZADD', FEEDING, tonumber(last) + 1, batch)
    local start_by = redis.call('HGET', BATCH .. batch, 'start_by_ms')
    keep_index(FEEDING, start_by)
    keep_index(BATCHES, start_by)
end

local function stop_feeding_if_done(batch)
    local waiting, held, moving = unpack(redis.call('HMGET', BATCH .. batch, 'waiting', 'held_ms', 'moving'))
    local has_live = redis.call('EXISTS', LIVE .. batch) == 1
    if tonumber(waiting or 0) == 0 and not moving and not (held and has_live) then
        redis.call('ZREM', FEEDING, batch)
    end
end

-- End all rows that have no record, however many: one count moves into another.
local function end_rows(batch, status, keep_ms)
    local waiting = tonumber(redis.call('HGET', BATCH .. batch, 'waiting') or 0)
    if waiting > 0 then
        add_waiting(batch, -waiting)
        redis.call('HINCRBY', BATCH .. batch, status, waiting)
        redis.call('HSET', BATCH .. batch, 'rest', status, 'rest_ms', now_ms(), 'rest_rows', waiting)
        redis.call('PEXPIRE', BATCH .. batch .. ':rows', keep_ms)
        note_finish(batch)
    end
end

-- A node waits for work in a pool; after `holds_ms` its word is forgotten.
local function note_idle(pool_key, node, holds_ms)
    redis.call('ZREMRANGEBYSCORE', pool_key, '-inf', now_ms() - holds_ms)
    redis.call('ZADD', pool_key, now_ms(), node)
    redis.call('PEXPIRE', pool_key, holds_ms)
end

-- Read fields of one hash among many. A key of another type has none, so that it does not keep a script from the others.
local function fields_of(key, ...)
    return unpack(redis.pcall('HMGET', key, ...))
end

local function is_live(status)
    return status == 'held' or status == 'queued' or status == 'running'
end

local OWNERS_COUNT = {held = 'waiting', queued = 'waiting', running = 'running'}

-- Count a change of status, which the caller writes, for the job's owner and its batch, and in the batch's list of live
-- jobs, so that they never drift. `old` is the status so far, nil for a new job.
local function count_status(job, status, old, batch, owner)
    local was, is = OWNERS_COUNT[old or ''], OWNERS_COUNT[status]
    if owner and was ~= is then
        count_owner(owner, was, was and -1 or 0)
        count_owner(owner, is, is and 1 or 0)
    end
    if not batch or batch == '' then
        return
    end
    if old then
        redis.call('HINCRBY', BATCH .. batch, old, -1)
    end
    redis.call('HINCRBY', BATCH .. batch, status, 1)
    local id = string.sub(job, #JOB + 1)
    if is_live(status) then
        redis.call('ZADD', LIVE .. batch, 'NX', now_ms(), id)
        keep_index(LIVE .. batch, redis.call('HGET', job, 'start_by_ms'))
    else
        redis.call('ZREM', LIVE .. batch, id)
    end
    if is_live(status) ~= is_live(old) then
        note_finish(batch)
    end
    keep_batch(batch)
end

-- All that a new job comes to stand in can take it.
local function expect_indexes(owner, queue, priority)
    expect_type('zset', DELAYED, QUEUES_USED, QUEUES_NEEDED, queue and queued_key(queue, priority))
    expect_type('hash', QUEUES, QUEUES_RETIRED)
    expect_type('stream', EVENTS)
    if owner and owner ~= '' then
        expect_type('zset', OWNERS, JOBS .. ':' .. owner)
        expect_type('hash', OWNER .. owner, OWNER_LIMITS)
    else
        expect_type('zset', JOBS)
    end
end

-- And all that a batch comes to stand in.
local function expect_batch_indexes(owner)
    expect_type('string', WAITING)
    expect_type('zset', BATCHES, FEEDING, RESULTS)
    expect_indexes(owner)
end

-- The field of a flat list of fields and values.
local function field_of(list, from, name)
    for i = from, #list, 2 do
        if list[i] == name then
            return list[i + 1]
        end
    end
end

-- Change the status, and all that counts it.
local function set_status(job, status)
    local old, batch, owner = unpack(redis.call('HMGET', job, 'status', 'batch', 'owner'))
    redis.call('HSET', job, 'status', status)
    count_status(job, status, old, batch, owner)
end

-- The job waits for a message: note when it was sent, and when its start deadline falls due.
local function index_queued(job, id)
    local queue, priority, start_by = unpack(redis.call('HMGET', job, 'queue', 'priority', 'start_by_ms'))
    use_queue(queue)
    redis.call('ZADD', queued_key(queue, priority), now_ms(), id)
    keep_index(queued_key(queue, priority), start_by)
    redis.call('ZADD', DELAYED, start_by, id)
    keep_index(DELAYED, start_by)
end

local function unindex_queued(job, id, queue, priority)
    if not queue then
        queue, priority = unpack(redis.call('HMGET', job, 'queue', 'priority'))
    end
    redis.call('ZREM', queued_key(queue, priority), id)
    redis.call('ZREM', DELAYED, id)
end

-- Jobs are listed by their owner; those without one together. An id is a UUIDv7, so the list is in order of time.
local function jobs_key(owner)
    return (owner and owner ~= '') and JOBS .. ':' .. owner or JOBS
end

-- Whose a job is: a record of the version before has it in `spec` only.
local function owner_of(job)
    local owner, spec = unpack(redis.call('HMGET', job, 'owner', 'spec'))
    if owner then
        return owner
    end
    local is_json, found = pcall(cjson.decode, spec or '')
    return is_json and type(found) == 'table' and type(found['owner']) == 'string' and found['owner'] or ''
end

-- The lists must outlast what they list. They were given a life when it was listed: see `keep_listed`.
local function keep_listed_longer(owner, until_ms)
    redis.call('PEXPIREAT', jobs_key(owner), until_ms, 'GT')
    if owner and owner ~= '' then
        redis.call('PEXPIREAT', OWNERS, until_ms, 'GT')
        redis.call('PEXPIREAT', OWNER .. owner, until_ms, 'GT')
    end
end

-- The lists must outlast what they list.
local function keep_listed(owner, until_ms)
    keep_until(jobs_key(owner), until_ms)
    if owner and owner ~= '' then
        keep_until(OWNERS, until_ms)
        keep_until(OWNER .. owner, until_ms)
    end
end

-- List a job that was submitted singly; the rows of a batch are listed by it. Before `keep_live`, which gives
-- the list its life.
local function list_job(job, id)
    local batch, owner = unpack(redis.call('HMGET', job, 'batch', 'owner'))
    if not batch then
        redis.call('ZADD', jobs_key(owner), 0, id)
        if owner and owner ~= '' then
            redis.call('ZADD', OWNERS, 0, owner)
        end
    end
end

-- List a job that has ended without success, for as long as its record stays.
local function list_ended(id, status, keep_ms)
    if status ~= 'succeeded' then
        redis.call('ZADD', ENDED .. status, now_ms(), id)
        keep_until(ENDED .. status, now_ms() + tonumber(keep_ms))
    end
end

-- A live record must outlast its start deadline, so that there is something to end. Its idempotency
-- key lives as long as it.
local function keep_live(job)
    local start_by, queue, key, batch, owner =
        unpack(redis.call('HMGET', job, 'start_by_ms', 'queue', 'idempotency', 'batch', 'owner'))
    local until_ms = math.max(now_ms(), tonumber(start_by)) + LIVE_MS
    redis.call('PEXPIREAT', job, until_ms)
    if not batch then
        keep_listed(owner, until_ms)
    end
    if key then
        redis.call('PEXPIREAT', key, until_ms)
    end
    -- Once it has ended it may be made again, for as long as it is kept.
    redis.call('ZADD', QUEUES_NEEDED, 'GT', until_ms + INDEX_MS, queue)
    keep_until(QUEUES_NEEDED, until_ms + INDEX_MS)
end
