-- Replace records of ended jobs by their packed form, which says the same.
--
-- ARGV     for each job: its id, its ended_ms as read, the number of arguments that follow, and the
--          fields and values of the packed form. Of a job that has expired, or has begun again to be
--          something else, none is written.
--
-- Only these can change once a job has ended; they are no part of what is packed.
--
-- Returns how many were packed.
local CHANGING = {'retried_as', 'told_ms', 'copies', 'copied_ms'}
local i, count = 1, 0
while i <= #ARGV do
    local id, size = ARGV[i], tonumber(ARGV[i + 2])
    local job = JOB .. id
    local status, ended
    if size > 0 then
        status, ended = unpack(redis.call('HMGET', job, 'status', 'ended_ms'))
    end
    if ended and ended == ARGV[i + 1] and not is_live(status) then
        -- A hash does not become a list again when fields go, so it is made anew.
        local life = redis.call('PEXPIRETIME', job)
        local now = redis.call('HMGET', job, unpack(CHANGING))
        redis.call('DEL', job)
        redis.call('HSET', job, unpack(ARGV, i + 3, i + 2 + size))
        for place, field in ipairs(CHANGING) do
            if now[place] then
                redis.call('HSET', job, field, now[place])
            end
        end
        redis.call('PEXPIREAT', job, life)
        count = count + 1
    end
    redis.call('ZREM', UNPACKED, id)
    i = i + 3 + size
end
return count
