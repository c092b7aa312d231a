-- Note what has come of a job's copies, and when there is more to do.
--
-- ARGV[1]  job id              ARGV[2]  when it would be due again, as it was taken
-- ARGV[3]  its copies, JSON ('' = as they were)
-- ARGV[4]  ms from now to when it is due again ('' = nothing is left to do)
--
-- Returns when it is due again, ms; '' if it is not, or is not the caller's any more.
local id, job = ARGV[1], JOB .. ARGV[1]
local taken = redis.call('ZSCORE', COPIES, id)
if not taken or tonumber(taken) ~= tonumber(ARGV[2]) then
    return ''
end
local batch, ended = fields_of(job, 'batch', 'ended_ms')
if ended and ARGV[3] ~= '' then
    redis.call('HSET', job, 'copies', ARGV[3])
end
if ARGV[4] ~= '' and ended then
    local again = string.format('%.0f', now_ms() + tonumber(ARGV[4]))
    redis.call('ZADD', COPIES, again, id)
    keep_until(COPIES, tonumber(again) + INDEX_MS)
    return again
end
redis.call('ZREM', COPIES, id)
if ended then
    redis.call('HSET', job, 'copied_ms', now_ms())
    if batch then -- the record of a row is packed only now
        list_to_pack(id, batch, ended)
    end
end
return ''
