-- Return the buckets of ended rows whose time to be packed has come, the one first that has waited longest.
--
-- ARGV[1]  ms since the last end of a row there   ARGV[2]  how many
--
-- Returns {`batch:bucket`, last end, ...}.
local until_ms = string.format('(%.0f', now_ms() - tonumber(ARGV[1]))
return redis.call('ZRANGE', UNPACKED_ROWS, '-inf', until_ms, 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
