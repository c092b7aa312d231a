-- Parts for scripts, after the prelude: how jobs end, and how what has ended is packed.

-- Have upkeep pack the record of a job that has ended and is no row.
local function list_unpacked(id, ended_ms)
    redis.call('ZADD', UNPACKED, ended_ms, id)
    keep_index(UNPACKED)
end

-- Which batch and row a job would be of, if it were a batch's; nil if that cannot be.
local function row_of(id)
    local row = tonumber(string.sub(id, -8), 16)
    if row and row > 0 then
        return string.sub(id, 1, -9) .. '00000000', row
    end
end

-- Where an ended row is packed: the hash, the bucket and the index there, from 1.
local function place_of_row(batch, row)
    return BATCH .. batch .. ':ended', math.floor((row - 1) / BUCKET_ROWS), (row - 1) % BUCKET_ROWS + 1
end

-- Have upkeep pack the record of a job that has ended: in its bucket, if it is a row; a job that was made again is none.
local function list_to_pack(id, batch, ended_ms)
    local of, row = row_of(id)
    if not of or of ~= batch then
        return list_unpacked(id, ended_ms)
    end
    local _, bucket = place_of_row(batch, row)
    redis.call('ZADD', UNPACKED_ROWS, 'GT', ended_ms, batch .. ':' .. bucket)
    keep_index(UNPACKED_ROWS)
end

local function is_to_be_packed(id, batch)
    local of, row = row_of(id)
    if not of or of ~= batch then
        return redis.call('ZSCORE', UNPACKED, id)
    end
    local _, bucket = place_of_row(batch, row)
    return redis.call('ZSCORE', UNPACKED_ROWS, batch .. ':' .. bucket)
end

-- The letters of a bucket of ended rows, one a row; see `ended_buckets.py`. '' where there is none, nil if it cannot be read.
local function letters_of(data)
    if not data or data == '' then
        return ''
    end
    return string.match(data, '^1([sfce-]*)\n')
end

local ENDED_AS = {s = 'succeeded', f = 'failed', c = 'cancelled', e = 'expired'}

-- Which jobs were made of the rows of a bucket again, by row; nil if that cannot be read.
local function made_again_of(text)
    if not text then
        return {}
    end
    local is_json, made = pcall(cjson.decode, text)
    for row, id in pairs(is_json and type(made) == 'table' and made or {0}) do
        if type(id) ~= 'string' or not string.match(row, '^%d+$') then
            return nil
        end
    end
    return made
end

-- How a row ended whose record is packed, the job that was made of it again, and its batch; nil if it is none, or
-- cannot be read. The fourth is true if that, or what was made again, cannot be read.
local function packed_row(id)
    local batch, row = row_of(id)
    if not batch then
        return nil
    end
    local key, bucket, index = place_of_row(batch, row)
    local found = redis.pcall('HMGET', key, bucket, bucket .. ':again')
    local letters = not found.err and letters_of(found[1])
    if not letters then
        return nil, false, batch, true
    end
    local status = ENDED_AS[string.sub(letters, index, index)]
    if status then
        local made = made_again_of(found[2])
        local again = made and made[tostring(row)]
        return status, again or false, batch, not made
    end
end

-- Note which jobs were made of packed rows again: {row id, new id, ...}. A note that cannot be read begins anew; the
-- records of these jobs tell `check` what it lacks.
local function note_made_again(pairs_of)
    for i = 1, #pairs_of, 2 do
        local batch, row = row_of(pairs_of[i])
        local key, bucket = place_of_row(batch, row)
        local made = made_again_of(redis.call('HGET', key, bucket .. ':again')) or {}
        made[tostring(row)] = pairs_of[i + 1]
        redis.call('HSET', key, bucket .. ':again', cjson.encode(made))
    end
end

-- Copies of what a job has made are to be made now.
local function list_copies(id)
    redis.call('ZADD', COPIES, now_ms(), id)
    keep_index(COPIES)
end

local ENDING = {'status', 'queue', 'priority', 'idempotency', 'batch', 'owner', 'attempt', 'node', 'hook', 'deliver', 'n',
    'phase', 'waiting_for', 'suspect', 'spec'}

-- Give the job its last status and let the record go after `keep_ms`. `more` is a list of field, value to write with
-- it; `known` has what the record has of `ENDING`, if the caller has read it; `totals` is counted with its end.
local function end_job(job, id, status, keep_ms, cause, more, known, totals)
    known, more = known or read_fields(job, ENDING), more or {}
    local batch, owner, n = known.batch, known.owner, next_n(known.n)
    local has_copies = known.deliver and status == 'succeeded'
    if has_copies then -- its record must be there until they are made, or given up
        keep_ms = math.max(tonumber(keep_ms), COPIES_KEPT_MS)
    end
    if known.status == 'running' then -- what runs stands in no index of what waits, and the other way round
        redis.call('ZREM', LEASES, id)
    else
        unindex_queued(job, id, known.queue, known.priority)
    end
    if known.phase or known.waiting_for or known.suspect then
        redis.call('HDEL', job, 'phase', 'waiting_for', 'suspect')
    end
    for field, value in pairs({status = status, ended_ms = now_ms(), cause = cause, n = n}) do
        more[#more + 1] = field
        more[#more + 1] = value
    end
    redis.call('HSET', job, unpack(more))
    count_status(job, status, known.status, batch, owner)
    count_ended(pool_of(known.queue), status, cause, 1, totals)
    redis.call('PEXPIRE', job, keep_ms)
    list_ended(id, status, keep_ms)
    if known.idempotency then
        redis.call('PEXPIRE', known.idempotency, keep_ms)
    end
    if not batch then
        keep_listed_longer(owner, now_ms() + tonumber(keep_ms))
    end
    if string.find(known.spec or '', '"secrets":', 1, true) then
        redis.call('DEL', SECRETS .. id)
    end
    list_to_pack(id, batch, now_ms())
    emit(job, id, status, {'cause', cause},
        {status = status, attempt = known.attempt, node = known.node, owner = owner, n = n})
    if batch and status == 'failed' then
        brake(batch, cause)
    end
    if known.hook then
        put_outbox('job:' .. id, now_ms() + tonumber(keep_ms))
    end
    if has_copies then
        list_copies(id)
    end
end

-- Has this attempt's lease run out, so that upkeep may end it?
local function has_lapsed(job, id, attempt)
    local status, current = unpack(redis.call('HMGET', job, 'status', 'attempt'))
    local deadline = redis.call('ZSCORE', LEASES, id)
    return status == 'running' and current == attempt and (not deadline or tonumber(deadline) <= now_ms())
end

-- Does this attempt of this worker hold the job?
local function holds(job, attempt, worker)
    local status, current, holder = unpack(redis.call('HMGET', job, 'status', 'attempt', 'worker'))
    return status == 'running' and current == attempt and holder == worker
end
