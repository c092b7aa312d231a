-- Note how far upkeep is with an action, unless another process was quicker.
--
-- KEYS[1]  action hash
-- ARGV[1]  action id          ARGV[2]  how often its hash was written when it was read
-- ARGV[3]  its state: waiting | running | done | failed
-- ARGV[4..] field, value, ... to set
--
-- Returns 1, or 0 if somebody has written it since, or it is gone: nothing was changed.
if fields_of(KEYS[1], 'written') ~= ARGV[2] then
    return 0
end
local now = now_ms()
redis.call('HSET', KEYS[1], 'written', ARGV[2] + 1, 'state', ARGV[3], unpack(ARGV, 4))
redis.call('HSETNX', KEYS[1], 'started_ms', now)
if ARGV[3] == 'done' or ARGV[3] == 'failed' then
    redis.call('HSET', KEYS[1], 'ended_ms', now)
    redis.call('PEXPIRE', KEYS[1], ACTION_KEPT_MS)
    redis.call('ZREM', ACTIONS_WAITING, ARGV[1])
else
    -- Others have their turn first.
    redis.call('PEXPIRE', KEYS[1], INDEX_MS)
    redis.call('ZADD', ACTIONS_WAITING, now, ARGV[1])
    redis.call('PEXPIRE', ACTIONS_WAITING, INDEX_MS)
end
return 1
