-- Take jobs off a list whose record has expired; one that is packed as a row has not. A record that is gone never comes back.
--
-- KEYS[1]  zset of jobs, or of batches whose rows ended without a record: until their values have expired
-- ARGV[1]  at most so many     ARGV[2]  'oldest', or 'random': for a list that is not in order of their ends
-- ARGV[3]  the owner whose jobs it lists ('' = none): forgotten with the last of them
--
-- Returns how many were looked at, and how many of these are gone.
local list, count = KEYS[1], tonumber(ARGV[1])
local found
if ARGV[2] == 'oldest' then
    found = redis.call('ZRANGE', list, 0, count - 1)
else
    found = redis.call('ZRANDMEMBER', list, count)
end
local are_batches, gone = string.sub(list, -8) == ':batches', 0
for _, id in ipairs(found) do
    if are_batches then
        if redis.call('EXISTS', BATCH .. id .. ':rows') == 0 then
            gone = gone + redis.call('ZREM', list, id)
        end
    elseif redis.call('EXISTS', JOB .. id) == 0 then
        local status, _, _, is_torn = packed_row(id)
        if not status and not is_torn then -- what cannot be read now may be put back
            gone = gone + redis.call('ZREM', list, id)
        end
    end
end
if ARGV[3] ~= '' and redis.call('EXISTS', list) == 0 then
    redis.call('ZREM', OWNERS, ARGV[3])
end
return {#found, gone}
