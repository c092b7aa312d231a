-- Stop an action on many jobs, and write into the log who did. A turn that was begun is done to its end, as its jobs are
-- counted there: action_write ends the action then.
--
-- KEYS[1]  action hash
-- ARGV[1]  action id          ARGV[2..] field, value, ... of the log
--
-- Returns 'cancelled', 'stopping': at the end of its turn, 'ended': it had before, so nothing was changed, or 'missing'.
expect_type('zset', ACTIONS_WAITING)
expect_type('stream', ACTIONS)
local state, jobs, written, asked = fields_of(KEYS[1], 'state', 'jobs', 'written', 'cancel_ms')
if not state then
    return 'missing'
end
if state ~= 'waiting' and state ~= 'running' then
    return 'ended'
end
local now = now_ms()
if not asked then
    redis.call('HSET', KEYS[1], 'cancel_ms', now)
    write_log(now, {unpack(ARGV, 2)})
end
if jobs and jobs ~= '' then
    return 'stopping'
end
-- Who is about to begin a turn finds that the record was written since.
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'ended_ms', now, 'written', (tonumber(written) or 0) + 1)
redis.call('PEXPIRE', KEYS[1], ACTION_KEPT_MS)
redis.call('ZREM', ACTIONS_WAITING, ARGV[1])
return 'cancelled'
