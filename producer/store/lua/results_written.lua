-- Note that a file of a batch's results is in the bucket.
--
-- KEYS[1]  batch hash
-- ARGV[1]  number of the file  ARGV[2]  its entry in `results_again` when its rows were read ('' = none)
local done, again = unpack(redis.call('HMGET', KEYS[1], 'results', 'results_again'))
if tonumber(done or 0) == tonumber(ARGV[1]) - 1 and redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('HSET', KEYS[1], 'results', ARGV[1])
end
local left = {}
for entry in string.gmatch(again or '', '%S+') do
    if entry ~= ARGV[2] then
        left[#left + 1] = entry
    end
end
if #left == 0 then
    redis.call('HDEL', KEYS[1], 'results_again')
else
    redis.call('HSET', KEYS[1], 'results_again', table.concat(left, ' '))
end
return 'ok'
