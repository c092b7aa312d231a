-- List packed rows that have ended without success, each for the time of its end, unless their bucket is another one by now.
--
-- KEYS[1]  a batch's ended rows   KEYS[2]  batch hash
-- ARGV[1]  bucket                 ARGV[2]  it as it was read
-- ARGV[3..] job id, status, when it ended, ms, ...
--
-- Returns 1 if they are listed now.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
    return 0
end
for i = 3, #ARGV, 3 do
    local list = ENDED .. ARGV[i + 1]
    redis.call('ZADD', list, ARGV[i + 2], ARGV[i])
    keep_until(list, math.max(redis.call('PEXPIRETIME', KEYS[2]), now_ms()))
end
return 1
