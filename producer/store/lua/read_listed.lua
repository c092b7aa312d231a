-- Read the newest jobs of a list, each with its record.
--
-- KEYS[1]  jobs of an owner, all with the same score
-- ARGV[1]  from this id   ARGV[2]  down to that one, as BYLEX has them   ARGV[3]  how many, at most
-- ARGV[4]  bytes of records, after which no more is read: others wait meanwhile
--
-- Returns their ids, and in the same order the fields and values of the first records, perhaps not of all; of one that is
-- gone none, of what is no hash an error.
expect_type('zset', KEYS[1])
local ids = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
local most, bytes = tonumber(ARGV[4]), 0
local records = {}
for i, id in ipairs(ids) do
    if bytes > most then
        break
    end
    local record = redis.pcall('HGETALL', JOB .. id)
    if record.err and not string.find(record.err, 'WRONGTYPE', 1, true) then
        return record  -- refused, which is another thing than gone
    end
    for value = 2, #record, 2 do
        bytes = bytes + #record[value]
    end
    records[i] = record
end
return { ids, records }
