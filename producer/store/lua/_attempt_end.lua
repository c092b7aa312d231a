-- Parts for the scripts that end an attempt, after the prelude.

-- How long the attempt has rendered, ms, by when it began to and when it began to fetch; nil where it never began.
local function rendered_ms(rendering, fetching)
    return rendering and math.max(0, tonumber(fetching or now_ms()) - tonumber(rendering))
end

-- Charge an owner with what an attempt has rendered, ms, and return that.
local function charge_owner(owner, rendering, fetching)
    local ms = rendered_ms(rendering, fetching)
    if owner and owner ~= '' and ms and ms > 0 then
        add_count(OWNER .. owner, 'gpu_ms', string.format('%.0f', ms))
        keep_index(OWNER .. owner)
    end
    return ms or 0
end

-- Add to the story of a failed attempt, a JSON object, when it was claimed and how long it rendered: only this clock
-- knows. Before its stamps go.
local function complete_story(job, attempt)
    local story, began, rendering, fetching =
        unpack(redis.call('HMGET', job, 'attempt:' .. attempt, 'at:preparing', 'at:rendering', 'at:fetching'))
    if story and began then
        local ms = rendered_ms(rendering, fetching)
        local rendered = ms and string.format(',"render_ms":%.0f', ms) or ''
        redis.call('HSET', job, 'attempt:' .. attempt, '{"started_ms":' .. began .. rendered .. ',' .. string.sub(story, 2))
    end
end

-- Read `bucket:count bucket:count`; anything else counts as nothing.
local function read_rate(text)
    local counts, total = {}, 0
    for bucket, count in string.gmatch(type(text) == 'string' and text or '', '(%d+):(%d+)') do
        counts[tonumber(bucket)] = tonumber(count)
        total = total + tonumber(count)
    end
    return counts, total
end

local function write_rate(counts)
    local buckets, parts = {}, {}
    for bucket, count in pairs(counts) do
        if count > 0 then
            buckets[#buckets + 1] = bucket
        end
    end
    table.sort(buckets)
    for i, bucket in ipairs(buckets) do
        parts[i] = string.format('%d:%d', bucket, counts[bucket])
    end
    return table.concat(parts, ' ')
end

-- A shape that has no rates yet is listed, and the one that was listed first makes room for it.
local function list_rates(shape)
    redis.call('ZADD', SHAPES, now_ms(), shape)
    redis.call('PEXPIRE', SHAPES, INDEX_MS)
    local over = redis.call('ZCARD', SHAPES) - SHAPES_KEPT
    if over > 0 then
        for i, first in ipairs(redis.call('ZPOPMIN', SHAPES, math.min(over, 10))) do
            if i % 2 == 1 then -- the others are scores
                redis.call('UNLINK', RATES .. first, SHAPE_SECONDS .. first)
            end
        end
    end
end

-- Count how long a job of this shape has rendered on the device of its node. Once there are many, each counts half,
-- so that what was long ago is outweighed. What a worker took back is left out: its end may have been seen late.
-- `known` has what the record has of `shape`, `taken_ms` and the stamps.
local function count_rate(known, device)
    local shape, ms = known.shape, rendered_ms(known['at:rendering'], known['at:fetching'])
    if not shape or shape == '' or known.taken_ms or not ms then
        return
    end
    local key = RATES .. shape
    local found = redis.pcall('HGET', key, device)
    if type(found) == 'table' then -- an error: it is no hash
        redis.call('DEL', key)
    elseif not found and redis.call('HLEN', key) >= DEVICES_KEPT then
        return
    end
    local counts, total = read_rate(found)
    if total >= RENDERS_KEPT then
        for bucket, count in pairs(counts) do
            counts[bucket] = math.floor(count / 2)
        end
    end
    local bucket = math.floor(math.log(math.max(ms, 1)) / math.log(2) * BUCKETS_AN_OCTAVE)
    counts[bucket] = (counts[bucket] or 0) + 1
    if redis.call('HSET', key, device, write_rate(counts)) == 1 then
        list_rates(shape)
    end
    redis.call('PEXPIRE', key, RATES_MS)
end
