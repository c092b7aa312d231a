-- Say whether a node waits for work.
--
-- KEYS[1]  zset of the pool's idle nodes
-- ARGV[1]  node                ARGV[2]  '1' if it is idle
-- ARGV[3]  ms after which its word is forgotten
if ARGV[2] == '0' then
    return redis.call('ZREM', KEYS[1], ARGV[1])
end
note_idle(KEYS[1], ARGV[1], ARGV[3])
