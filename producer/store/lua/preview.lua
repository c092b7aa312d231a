-- Keep the newest preview of a running attempt for a while, in place of the one before.
--
-- KEYS[1]  job hash            KEYS[2]  its preview
-- ARGV[1]  attempt             ARGV[2]  worker (boot id)
-- ARGV[3]  what it is, JSON    ARGV[4]  the picture's bytes
--
-- Returns 1, or 0 if the attempt does not hold the job any more.
local known = read_fields(KEYS[1], {'status', 'attempt', 'worker'})
if known.status ~= 'running' or known.attempt ~= ARGV[1] or known.worker ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[2], 'at_ms', now_ms(), 'about', ARGV[3], 'picture', ARGV[4])
redis.call('PEXPIRE', KEYS[2], PREVIEW_MS)
return 1
