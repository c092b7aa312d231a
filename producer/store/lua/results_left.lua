-- Look at a batch no more for results to be written, until another row has been packed, or it has ended.
--
-- ARGV[1]  batch               ARGV[2]  mark that the caller was given
if redis.call('ZSCORE', RESULTS, ARGV[1]) == ARGV[2] then
    redis.call('ZREM', RESULTS, ARGV[1])
end
return 'ok'
