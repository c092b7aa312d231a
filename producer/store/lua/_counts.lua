-- Parts for scripts, before all others: numbers in hashes. Whoever reaches Redis may have written something else there, and
-- no script may fail for that in its middle, when half is written.

-- Is it a number as Redis counts on from, or not there at all?
local function is_count(text)
    return not text or #text <= 15 and string.match(text, '^%-?%d+$') ~= nil
end

-- Is this reply an error for what stands there? Any other, as of rights, is raised: it is no matter of one key.
local function is_torn(reply)
    if type(reply) ~= 'table' or not reply.err then
        return false
    end
    for _, said in ipairs({'not an integer', 'would overflow', 'WRONGTYPE'}) do
        if string.find(reply.err, said, 1, true) then
            return true
        end
    end
    error(reply)
end

-- Add to a count of jobs or rows, which records tell. What is no number stays what it is: it shows, nothing ends by it,
-- and `check` counts it anew.
local function add_count(key, field, by)
    is_torn(redis.pcall('HINCRBY', key, field, by))
end

-- Add one to a number that nothing else tells, and return it. What is no number begins anew: at `anew`, or by the clock,
-- so that who tells changes by it sees one.
local function next_number(key, field, anew)
    local n = redis.pcall('HINCRBY', key, field, 1)
    if is_torn(n) then
        n = anew or now_ms()
        is_torn(redis.pcall('HSET', key, field, n))
    end
    return n
end

-- Refuse to go on if one of these fields is no number. `translated` reads the message.
local function expect_counts(key, ...)
    local found = redis.call('HMGET', key, ...)
    for i, field in ipairs({...}) do
        if not is_count(found[i]) then
            error({err = 'WRONGTYPE ' .. key .. '/' .. field .. ' is text, not number'})
        end
    end
end
