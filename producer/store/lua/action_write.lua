-- Note how far upkeep is with an action, unless another process was quicker.
--
-- KEYS[1]  action hash
-- ARGV[1]  action id          ARGV[2]  how often its hash was written when it was read
-- ARGV[3]  its state: running | done | failed; one that goes on and that somebody has stopped is `cancelled`
-- ARGV[4..] field, value, ... to set
--
-- Returns 1, or 0 if somebody has written it since, or it is gone: nothing was changed.
if fields_of(KEYS[1], 'written') ~= ARGV[2] then
    return 0
end
local now, state = now_ms(), ARGV[3]
redis.call('HSET', KEYS[1], 'written', ARGV[2] + 1, 'state', state, unpack(ARGV, 4))
if state == 'running' and fields_of(KEYS[1], 'cancel_ms') then
    -- A turn that is only begun here is not done.
    state = 'cancelled'
    redis.call('HSET', KEYS[1], 'state', state, 'jobs', '')
end
redis.call('HSETNX', KEYS[1], 'started_ms', now)
if state ~= 'running' then
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
