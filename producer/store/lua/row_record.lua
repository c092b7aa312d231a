-- Give a row that ended with its batch, before it had a record, one after all: its place among the rows is empty then.
--
-- KEYS[1]  batch hash          KEYS[2]  its rows
-- ARGV[1]  batch               ARGV[2]  job id
-- ARGV[3]  row                 ARGV[4]  SHA-1 of its bucket as the caller knows it
-- ARGV[5]  its bucket          ARGV[6]  the rows of that without it, packed
-- ARGV[7]  cause of its end
-- ARGV[8..] field, value, ... of the record, but for its status
--
-- Returns 'done', or 'stale': look again, it may have a record by now.
local batch, id = KEYS[1], ARGV[2]
local job = JOB .. id
local sealed, start_by, rest, rest_ms, rest_rows, fed =
    unpack(redis.call('HMGET', batch, 'sealed_ms', 'start_by_ms', 'rest', 'rest_ms', 'rest_rows', 'fed'))
local is_known = redis.sha1hex(redis.call('HGET', KEYS[2], ARGV[5]) or '') == ARGV[4]
if not rest or tonumber(fed) >= tonumber(ARGV[3]) or not is_known or redis.call('EXISTS', job) == 1 then
    return 'stale'
end
local until_ms = redis.call('PEXPIRETIME', KEYS[2])
expect_type('zset', ENDED .. rest, UNPACKED_ROWS)
redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
redis.call('HSET', batch, 'rest_rows', math.max(0, (tonumber(rest_rows) or 0) - 1))
next_number(batch, 'made_again') -- a recount that runs meanwhile must know
redis.call('HSET', job, 'created_ms', sealed, 'start_by_ms', start_by, 'ended_ms', rest_ms, 'cause', ARGV[7],
    'status', rest, unpack(ARGV, 8))
redis.call('PEXPIREAT', job, until_ms)
redis.call('ZADD', ENDED .. rest, rest_ms, id)
keep_until(ENDED .. rest, until_ms)
list_to_pack(id, ARGV[1], rest_ms)
return 'done'
