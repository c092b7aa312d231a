-- Put a bucket of ended rows, or the note beside it, in place of a torn one, unless it has become another one meanwhile.
--
-- KEYS[1]  a batch's ended rows
-- ARGV[1]  field     ARGV[2]  it as it was read ('' = not there)     ARGV[3]  what it shall be
--
-- Returns 1 if it is that now.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
