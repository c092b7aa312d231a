-- Say that a worker leaves a job to its successor in good order.
--
-- KEYS[1]  job hash
-- ARGV[1]  attempt             ARGV[2]  worker that holds it
if holds(KEYS[1], ARGV[1], ARGV[2]) then
    redis.call('HSET', KEYS[1], 'left', ARGV[2])
end
return 'ok'
