-- Parts for scripts, after owners and totals: what a batch counts, when it has finished, and what then is told.

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

-- Count rows that have no record yet, in their batch, for its owner and over all.
local function add_waiting(batch, by)
    local start_by, owner = unpack(redis.call('HMGET', BATCH .. batch, 'start_by_ms', 'owner'))
    add_count(BATCH .. batch, 'waiting', by)
    count_owner(owner, 'waiting', by)
    is_torn(redis.pcall('INCRBY', WAITING, by)) -- what is no number stays so until `check` counts it anew
    keep_index(WAITING, start_by)
end

-- A sealed batch has finished when none of its jobs waits or runs; the retry of one opens it again. While one of these
-- counts is no number, nobody knows.
local function note_finish(batch)
    local key = BATCH .. batch
    local found = redis.call('HMGET', key, 'step', 'sealed_ms', 'hook', unpack(COUNTED))
    if not (found[2] and is_count(found[6]) and is_count(found[7]) and is_count(found[8]) and is_count(found[9])) then
        return
    end
    local rows = sum(found, 4, 4) - sum(found, 5, 5)
    local left, ended = sum(found, 6, 9), sum(found, 10, 13)
    tell_step(batch, found[1], ended, math.max(rows, left + ended))
    if left == 0 then
        redis.call('DEL', SECRETS .. batch)
        if redis.call('HSETNX', key, 'ended_ms', now_ms()) == 1 then
            -- Lower than the mark of who looks at it now: that one looked before this end, and may not leave it.
            redis.call('ZADD', RESULTS, 'LT', now_ms(), batch)
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
    local owner = redis.call('HGET', BATCH .. batch, 'owner')
    if owner then
        keep_index(BATCHES .. ':' .. owner, start_by)
    end
end

local function stop_feeding_if_done(batch)
    local waiting, held, moving = unpack(redis.call('HMGET', BATCH .. batch, 'waiting', 'held_ms', 'moving'))
    local has_live = redis.call('EXISTS', LIVE .. batch) == 1
    if tonumber(waiting or 0) == 0 and not moving and not (held and has_live) then
        redis.call('ZREM', FEEDING, batch)
    end
end

-- Count a job that failed for good by its own fault. Once as many have as may, the batch is held, as if a person did it,
-- until one releases or cancels it.
local function brake(batch, cause)
    local key = BATCH .. batch
    local limit, received, skipped, held, ended, moving =
        unpack(redis.call('HMGET', key, 'max_failed', 'received', 'skipped', 'held_ms', 'ended_ms', 'moving'))
    if not limit or string.find(NOT_OWN_FAULTS, ' ' .. (cause or '') .. ' ', 1, true) then
        return
    end
    local failed = next_number(key, 'failed_own', 1)
    local rows = (tonumber(received) or 0) - (tonumber(skipped) or 0)
    local share = string.match(limit, '^([%d.]+)%%$')
    local most = share and math.ceil(rows * tonumber(share) / 100) or tonumber(limit)
    if held or ended or moving == 'cancel' or not most or failed < most then
        return
    end
    local why = string.format('%d of %d jobs have failed; max_failed is %s', failed, rows, limit)
    next_number(key, 'switches')
    redis.call('HSET', key, 'held_ms', now_ms(), 'braked_ms', now_ms(), 'braked_why', why)
    redis.call('HDEL', key, 'moving')
    emit_batch(batch, 'braked', why)
    keep_feeding(batch)
    keep_batch(batch)
end

-- The pool that rows of a batch wait for which have no record; '' if they are pinned to a node.
local function pool_of_rows(batch)
    local is_json, spec = pcall(cjson.decode, redis.call('HGET', BATCH .. batch, 'spec') or '')
    return is_json and type(spec) == 'table' and type(spec.pool) == 'string' and type(spec.pin) ~= 'string'
        and spec.pool or ''
end

-- End all rows that have no record, however many: one count moves into another.
local function end_rows(batch, status, keep_ms)
    local waiting = tonumber(redis.call('HGET', BATCH .. batch, 'waiting') or 0) or 0
    if waiting > 0 then
        add_waiting(batch, -waiting)
        add_count(BATCH .. batch, status, waiting)
        count_ended(pool_of_rows(batch), status, status == 'expired' and 'start_deadline' or status, waiting)
        redis.call('HSET', BATCH .. batch, 'rest', status, 'rest_ms', now_ms(), 'rest_rows', waiting)
        redis.call('PEXPIRE', BATCH .. batch .. ':rows', keep_ms)
        -- One entry for all of them: whoever lists what ended reads the rows.
        redis.call('ZADD', ENDED .. status .. ':batches', now_ms(), batch)
        keep_until(ENDED .. status .. ':batches', now_ms() + tonumber(keep_ms))
        note_finish(batch)
    end
end
