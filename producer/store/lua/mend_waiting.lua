-- Compare the number of rows that wait in all with the counts of the batches.
--
-- ARGV[1]  '1' to mend         ARGV[2..] batches that are there, and not listed
--
-- Returns {number as it stands there, sum of the counts}.
local sum = 0

local function add(batch)
    local waiting = fields_of(BATCH .. batch, 'waiting')
    sum = sum + (is_count(waiting) and tonumber(waiting or 0) or 0)
end

for _, batch in ipairs(redis.call('ZRANGE', BATCHES, 0, -1)) do
    add(batch)
end
for i = 2, #ARGV do
    if not redis.call('ZSCORE', BATCHES, ARGV[i]) then
        add(ARGV[i])
    end
end
local is = redis.call('GET', WAITING) or '0'
if is ~= string.format('%.0f', sum) and ARGV[1] == '1' then
    redis.call('SET', WAITING, sum)
    keep_index(WAITING)
end
return {is, sum}
