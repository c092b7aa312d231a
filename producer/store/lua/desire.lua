-- Write what a person wants of a node where it is kept and into the node's record, which its beats read; call its worker.
--
-- KEYS[1]  hash of what is wanted    KEYS[2]  node hash
-- ARGV[1]  node                      ARGV[2]  the wish, JSON ('' = nothing special any more)
--
-- Returns 1 if something was wanted before.
local before = redis.call('HEXISTS', KEYS[1], ARGV[1])
if ARGV[2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], 'desired')
else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    if redis.call('HEXISTS', KEYS[2], 'worker') == 1 then
        redis.call('HSET', KEYS[2], 'desired', ARGV[2])
    end
end
redis.call('PUBLISH', CALLS, 'desired ' .. ARGV[1])
return before
