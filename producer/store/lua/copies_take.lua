-- Take the job whose copies have been due for longest. Whoever takes it has some time for it, and may ask for more;
-- then it is due again.
--
-- ARGV[1]  ms that the caller has
--
-- Returns {job, when it is due again, ms}, or if none is due {'', ms until one is ('' = none is listed)}.
local id, due = unpack(redis.call('ZRANGE', COPIES, 0, 0, 'WITHSCORES'))
if not id then
    return {'', ''}
end
if tonumber(due) > now_ms() then
    return {'', string.format('%.0f', tonumber(due) - now_ms())}
end
local again = string.format('%.0f', now_ms() + tonumber(ARGV[1]))
redis.call('ZADD', COPIES, 'XX', again, id)
return {id, again}
