-- Read the newest jobs of a list, each with its record.
--
-- KEYS[1]  jobs of an owner, all with the same score
-- ARGV[1]  from this id   ARGV[2]  down to that one, as BYLEX has them   ARGV[3]  how many, at most
--
-- Returns their ids, and in the same order the fields and values of each record; of one that is gone none, of what is no
-- hash an error.
local ids = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
local records = {}
for i, id in ipairs(ids) do
    local record = redis.pcall('HGETALL', JOB .. id)
    if record.err and not string.find(record.err, 'WRONGTYPE', 1, true) then
        return record  -- refused, which is another thing than gone
    end
    records[i] = record
end
return { ids, records }
