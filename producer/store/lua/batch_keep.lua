-- Keep what an open batch was begun with, so that any process can add rows to it.
--
-- KEYS[1]  batch hash          KEYS[2]  what it was begun with
-- ARGV[1]  that, packed
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HEXISTS', KEYS[1], 'sealed_ms') == 0 then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', math.max(1, redis.call('PTTL', KEYS[1])))
end
