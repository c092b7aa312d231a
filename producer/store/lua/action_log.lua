-- Write an entry into the log of actions: also on a full Redis, as what it tells of is done already.
--
-- ARGV     field, value, ... but for its time
--
-- Returns its id.
expect_type('stream', ACTIONS)
return redis.call('XADD', ACTIONS, 'MAXLEN', '~', ACTIONS_KEPT, '*', 'at', now_ms(), unpack(ARGV))
