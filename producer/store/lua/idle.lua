-- Say whether a node waits for work.
--
-- KEYS[1]  zset of the pool's idle nodes
-- ARGV[1]  node                ARGV[2]  '1' if it is idle
-- ARGV[3]  ms after which its word is forgotten
if ARGV[2] == '0' then
    return redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms() - ARGV[3])
redis.call('ZADD', KEYS[1], now_ms(), ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
