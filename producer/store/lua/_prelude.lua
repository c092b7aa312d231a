-- Parts for scripts. Constants are those of keys.py and limits.py (see scripts.py), so that each stands once.
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

-- Return what is written as a time, ms; nothing where it makes no sense, as text or a year with six digits.
local function time_of(written)
    local ms = tonumber(written)
    return ms and ms >= 0 and ms < 1e14 and ms or nil
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

-- Keep what jobs share under its hash for as long as the longest-lived of them.
local function keep_shared(key, data, life_ms)
    -- Where it is there, its data need not be copied.
    if key ~= '' and redis.call('PEXPIRE', key, life_ms, 'GT') == 0 then
        redis.call('SET', key, data, 'NX', 'PX', life_ms)
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

-- Read fields of one hash among many. A key of another type has none, so that it does not keep a script from the others.
local function fields_of(key, ...)
    return unpack(redis.pcall('HMGET', key, ...))
end

-- The field of a flat list of fields and values.
local function field_of(list, from, name)
    for i = from, #list, 2 do
        if list[i] == name then
            return list[i + 1]
        end
    end
end
