-- Write an entry into the log of actions: also on a full Redis, as what it tells of is done already.
--
-- ARGV     field, value, ... but for its time
--
-- Returns its id, or '' where it is only counted; see `write_log`.
expect_type('stream', ACTIONS)
return write_log(now_ms(), ARGV)
