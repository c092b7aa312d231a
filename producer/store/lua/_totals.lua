-- Parts for scripts, after the prelude: counters that only rise, by the pool of a job's queue; see `totals.py`.

local STAGES = {'queued', 'preparing', 'ahead', 'rendering', 'fetching', 'storing'}
local STAGE_BOUNDS = {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400}

-- The pool that a queue is of; '' for a node's own queue, and where that cannot be told.
local function pool_of(queue)
    return string.match(queue or '', '^comfyfleet%.pool%.(.*)%.[^.]*$') or ''
end

-- Add {name = by, ...} to what a pool counts in a hash, in two commands however many they are. A caller may be in the middle
-- of an ending: a key of another type counts nothing and fails nothing. A pool beyond those that have room is left out.
local function count_in(key, pool, more)
    local names, fields, new = {}, {}, {}
    for name in pairs(more) do
        names[#names + 1] = pool .. ' ' .. name
    end
    local found = redis.pcall('HMGET', key, unpack(names))
    if found.err then
        return
    end
    for i, name in ipairs(names) do
        local by = more[string.sub(name, #pool + 2)]
        fields[#fields + 1] = name
        fields[#fields + 1] = string.format('%.0f', (tonumber(found[i] or 0) or 0) + by)
        new[#new + 1] = not found[i] and name or nil
    end
    if redis.call('HSET', key, unpack(fields)) > 0 and redis.call('HLEN', key) > TOTALS_KEPT then
        redis.call('HDEL', key, unpack(new))
    end
end

local function count_totals(pool, more)
    count_in(TOTALS, pool, more)
end

-- Count jobs that go on after something was lost; see `Recovery`.
local function count_recovered(pool, kind, jobs)
    count_in(RECOVERED, pool, {[kind] = jobs})
end

-- Count jobs that have ended; `beside` has what is counted with them.
local function count_ended(pool, status, cause, jobs, beside)
    local more, why = beside or {}, cause and cause ~= '' and ' ' .. cause or ''
    more['ended ' .. status .. why] = jobs
    count_totals(pool, more)
end

-- Count how long each stage of a job that succeeds has taken, by what its record has of `queued_ms` and its stamps.
local function count_stages(known, more)
    local entered = {queued = tonumber(known.queued_ms)}
    for i = 2, #STAGES do
        entered[STAGES[i]] = tonumber(known['at:' .. STAGES[i]])
    end
    local left_ms = now_ms()
    for i = #STAGES, 1, -1 do
        local stage = STAGES[i]
        if entered[stage] then
            local ms, bucket = math.max(0, left_ms - entered[stage]), 'more'
            for _, bound in ipairs(STAGE_BOUNDS) do
                if ms <= 1000 * bound then
                    bucket = tostring(bound)
                    break
                end
            end
            more['stage ' .. stage .. ' ' .. bucket] = 1
            more['stage ' .. stage .. ' ms'] = ms
            left_ms = entered[stage]
        end
    end
end
