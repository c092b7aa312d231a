-- Have the rows of a batch that have no record yet go to another place. Its live jobs are left to the caller.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  its `spec` as the caller knows it
-- ARGV[3]  the new one         ARGV[4]  its places, JSON: as many as before, in their order
--
-- Returns 'ok', 'stale' (look again), 'open', 'ended' or 'missing'.
local sealed, ended, moving, spec = unpack(redis.call('HMGET', KEYS[1], 'sealed_ms', 'ended_ms', 'moving', 'spec'))
if not spec then
    return 'missing'
elseif not sealed then
    return 'open'
elseif ended or moving == 'cancel' then
    return 'ended'
elseif spec ~= ARGV[2] then
    return 'stale'
end
redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'places', ARGV[4])
-- Who has looked which rows come next would feed them to the old place.
next_number(KEYS[1], 'edits')
keep_batch(ARGV[1])
return 'ok'
