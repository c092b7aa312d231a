-- Forget the lease of a job that does not run. One that was claimed since the caller looked keeps it.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id
if fields_of(KEYS[1], 'status') ~= 'running' then
    redis.call('ZREM', LEASES, ARGV[1])
end
return 'ok'
