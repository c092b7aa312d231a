-- Have a running job wait in another queue, should it wait again.
--
-- KEYS[1]  job hash
-- ARGV[1]  attempt             ARGV[2]  worker that holds it
-- ARGV[3]  queue               ARGV[4]  what it needs, JSON
--
-- Returns 'ok' or 'lost'.
if not holds(KEYS[1], ARGV[1], ARGV[2]) then
    return 'lost'
end
open_queue(ARGV[3], ARGV[4])
-- No index names the queue of a job that runs, so nothing else has to move.
redis.call('HSET', KEYS[1], 'queue', ARGV[3])
return 'ok'
