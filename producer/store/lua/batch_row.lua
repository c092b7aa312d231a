-- Cancel one row of a batch that has no record: it gets one, and its place among the rows is empty.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- ARGV[1]  batch               ARGV[2]  job id
-- ARGV[3]  row                 ARGV[4]  SHA-1 of its bucket as the caller knows it
-- ARGV[5]  its bucket          ARGV[6]  the rows of that without it, packed
-- ARGV[7]  ms to keep the record
-- ARGV[8..] field, value, ... of the record, but for its status
--
-- Returns 'cancelled', or 'stale': look again, it may have a record now.
local batch, id = KEYS[1], ARGV[2]
local job = JOB .. id
local sealed, start_by, rest, fed = unpack(redis.call('HMGET', batch, 'sealed_ms', 'start_by_ms', 'rest', 'fed'))
local is_known = redis.sha1hex(redis.call('HGET', KEYS[2], ARGV[5]) or '') == ARGV[4]
if not sealed or rest or tonumber(fed) >= tonumber(ARGV[3]) or not is_known or redis.call('EXISTS', job) == 1 then
    return 'stale'
end
redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
next_number(batch, 'edits')
redis.call('HSET', job, 'created_ms', sealed, 'start_by_ms', start_by, 'ended_ms', now_ms(), 'cause', 'cancelled',
    unpack(ARGV, 8))
add_waiting(ARGV[1], -1)
set_status(job, 'cancelled')
count_ended(pool_of(field_of(ARGV, 8, 'queue')), 'cancelled', 'cancelled', 1)
redis.call('PEXPIRE', job, ARGV[7])
list_ended(id, 'cancelled', ARGV[7])
list_to_pack(id, ARGV[1], now_ms())
emit(job, id, 'cancelled', {'cause', 'cancelled'})
note_finish(ARGV[1])
stop_feeding_if_done(ARGV[1])
return 'cancelled'
