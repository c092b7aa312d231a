-- Parts for scripts, after the prelude: what is told of jobs, batches and nodes, in the event stream and outside.

-- Read fields of a hash, by their names.
local function read_fields(key, names)
    local found, values = {}, redis.call('HMGET', key, unpack(names))
    for i, name in ipairs(names) do
        found[name] = values[i] or nil
    end
    return found
end

-- Read a whole hash, as a table.
local function read_record(key)
    local record, fields = {}, redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        record[fields[i]] = fields[i + 1]
    end
    return record
end

-- Return a record as scripts answer with it: {field, value, ...}.
local function flat_of(record)
    local fields = {}
    for field, value in pairs(record) do
        fields[#fields + 1] = field
        fields[#fields + 1] = tostring(value)
    end
    return fields
end

-- Number of the next event of a job, which the caller writes into its record.
local function next_n(n)
    return (tonumber(n) or 0) + 1
end

local EMITTED = {'status', 'attempt', 'node', 'owner', 'n'}

-- Tell the stream, with a number that rises by one a job. `more` is a list of field, value; `known` has what the record
-- has of `EMITTED` by now, if the caller has read it and written the new number.
local function emit(job, id, type, more, known)
    if not known then
        known = read_fields(job, EMITTED)
        known.n = next_number(job, 'n')
    end
    local n, status, attempt, node, owner = known.n, known.status, known.attempt, known.node, known.owner
    more = more or {}
    if owner then
        more[#more + 1] = 'owner'
        more[#more + 1] = owner
    end
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'job', id, 'n', n, 'type', type,
        'status', status, 'attempt', attempt, 'node', node or '', 'at', now_ms(), unpack(more))
end

-- An attempt enters a phase, or goes through it again after it was taken back. `known` has what the record has of
-- `EMITTED` and of the phase's stamp.
local function enter_phase(job, id, phase, at_ms, known)
    local entered = 'at:' .. phase
    known.n = next_n(known.n)
    known.phase, known[entered] = phase, known[entered] or at_ms
    redis.call('HSET', job, 'phase', phase, entered, known[entered], 'n', known.n)
    emit(job, id, 'phase', {'phase', phase}, known)
end

-- When an attempt began to store: so many ms after it had begun to fetch.
local function storing_ms(known, fetched_ms)
    return math.min(now_ms(), (tonumber(known['at:fetching']) or now_ms()) + tonumber(fetched_ms))
end

-- Tell the stream of something that is no job. Readers that know only jobs pass it over: nobody watches a job or
-- a batch that is called `-`.
local function emit_other(kind, about, what, more)
    redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'job', '-', 'batch', '-', 'kind', kind,
        'about', about, 'type', what, 'at', now_ms(), unpack(more))
end

-- An end is to be told outside, as the record of the job or batch asks for.
local function put_outbox(subject, until_ms)
    redis.call('ZADD', OUTBOX, now_ms(), subject)
    keep_until(OUTBOX, until_ms)
end

-- What happened before the end of a job or batch is to be told outside, if the webhook that it names wants to hear of it.
local function put_event(type, id, owner, hook)
    local webhook = redis.call('HGET', WEBHOOKS, (owner or '') .. ':' .. hook)
    if webhook and string.find(webhook, '"' .. type .. '"', 1, true) then
        put_outbox('event:' .. type .. ':' .. id, now_ms() + INDEX_MS)
    end
end

local COUNTED = {'received', 'skipped', 'waiting', 'held', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'}

-- Tell the stream how far a batch is, with a number that rises by one; `reason` says why it is so, if something is to be said.
local function emit_batch(batch, what, reason)
    local key = BATCH .. batch
    local more = {'n', next_number(key, 'n')}
    local counts = redis.call('HMGET', key, unpack(COUNTED))
    for i, name in ipairs(COUNTED) do
        more[#more + 1] = name
        more[#more + 1] = counts[i] or 0
    end
    local name, spec, hook = unpack(redis.call('HMGET', key, 'name', 'spec', 'hook'))
    local is_json, found = pcall(cjson.decode, spec or '')
    local owner = is_json and type(found) == 'table' and found['owner']
    for field, value in pairs({name = name, owner = owner, reason = reason}) do
        if type(value) == 'string' and value ~= '' then
            more[#more + 1] = field
            more[#more + 1] = value
        end
    end
    emit_other('batch', batch, what, more)
    if hook and (what == 'sealed' or what == 'progress' or what == 'braked') then
        put_event('batch.' .. what, batch, owner, hook)
    end
end

-- Tell of each tenth of a batch's jobs that has ended. Jobs that are made again take it back.
local function tell_step(batch, told, ended, total)
    told = tonumber(told or 0) or 0
    local step = total > 0 and math.floor(10 * ended / total) or 0
    if step ~= told then
        redis.call('HSET', BATCH .. batch, 'step', step)
    end
    if step > told and ended < total then
        emit_batch(batch, 'progress')
    end
end

local function sum(counts, from, to)
    local total = 0
    for i = from, to do
        total = total + (tonumber(counts[i]) or 0)
    end
    return total
end

-- Webhooks that want to hear of it are told that a node is set aside, and that it takes jobs again after that, each once,
-- whatever states lie between. The entry says all that is told: the record may say something else by then.
local function put_node_event(node, state, reason, pool)
    local type
    if state == 'quarantined' and redis.call('HSETNX', NODE .. node, 'set_aside', 1) == 1 then
        type = 'node.quarantined'
    elseif state == 'ready' and redis.call('HDEL', NODE .. node, 'set_aside') == 1 then
        type = 'node.recovered'
    end
    for _, webhook in ipairs(type and redis.call('HVALS', WEBHOOKS) or {}) do
        if string.find(webhook, '"' .. type .. '"', 1, true) then
            local told = cjson.encode({node = node, pool = pool, state = state, reason = reason, at = now_ms()})
            put_outbox('event:' .. type .. ':' .. told, now_ms() + INDEX_MS)
            return
        end
    end
end

-- Tell the stream that a node's state is another one.
local function emit_node(node, state, was, reason)
    local pool = redis.call('HGET', NODE .. node, 'pool') or ''
    emit_other('node', node, 'state',
        {'state', state, 'was', was or '', 'reason', reason or '', 'pool', pool})
    put_node_event(node, state, reason or '', pool)
end

-- A node is heard again that counted as gone.
local function note_heard(node)
    redis.call('HDEL', NODE .. node, 'silent')
    local state, reason = unpack(redis.call('HMGET', NODE .. node, 'state', 'reason'))
    emit_node(node, state or '', 'offline', reason)
end
