-- Compare the number of rows that wait in all with the counts of the batches.
--
-- ARGV[1]  '1' to mend
--
-- Returns {number as it stands there, sum of the counts}.
local sum = 0
for _, batch in ipairs(redis.call('ZRANGE', BATCHES, 0, -1)) do
    sum = sum + (tonumber(fields_of(BATCH .. batch, 'waiting') or 0) or 0)
end
local is = redis.call('GET', WAITING) or '0'
if is ~= string.format('%.0f', sum) and ARGV[1] == '1' then
    redis.call('SET', WAITING, sum)
    keep_index(WAITING)
end
return {is, sum}
