-- Parts for scripts, after the prelude: what owners have and may have, and the lists of their jobs.

-- Count what an owner has `waiting` or `running`; jobs without one are counted nowhere. By `moves` a recount knows
-- whether something has changed meanwhile.
local function count_owner(owner, field, by)
    if owner and owner ~= '' and by ~= 0 then
        add_count(OWNER .. owner, field, by)
        next_number(OWNER .. owner, 'moves')
        keep_index(OWNER .. owner)
    end
end

-- What an owner has waiting and may have, {waiting, limit}, if it may not have so many more; else nil.
local function owner_full(owner, more)
    local limit = owner and owner ~= '' and redis.call('HGET', OWNER_LIMITS, owner)
    if limit and string.match(limit, '^%d+$') then
        limit = tonumber(limit)
        local found = redis.call('HGET', OWNER .. owner, 'waiting')
        local waiting = is_count(found) and tonumber(found or 0) or 0
        if waiting + more > limit then
            return {waiting, limit}
        end
    end
end

-- Jobs are listed by their owner; those without one together. An id is a UUIDv7, so the list is in order of time.
local function jobs_key(owner)
    return (owner and owner ~= '') and JOBS .. ':' .. owner or JOBS
end

-- List a job that was submitted singly. Before `keep_listed`, which gives the lists their life.
local function list_single(id, owner)
    redis.call('ZADD', jobs_key(owner), 0, id)
    if owner and owner ~= '' then
        redis.call('ZADD', OWNERS, 0, owner)
    end
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

-- The batches of an owner that take rows: how many there are, and how many rows they have. Those that were sealed,
-- deleted or forgotten leave the list here.
local function open_batches(owner)
    local count, rows = 0, 0
    for _, id in ipairs(redis.call('ZRANGE', OPEN_BATCHES .. owner, 0, -1)) do
        local sealed, received = fields_of(BATCH .. id, 'sealed_ms', 'received')
        if sealed or not received then
            redis.call('ZREM', OPEN_BATCHES .. owner, id)
        else
            count, rows = count + 1, rows + tonumber(received)
        end
    end
    return count, rows
end
