-- Compare what an owner has waiting and running with a count of its jobs; set it, if asked.
--
-- KEYS[1]  hash of the owner
-- ARGV[1]  '1' to mend         ARGV[2]  its `moves` before the jobs were counted
-- ARGV[3]  how many wait, and  ARGV[4]  how many run
--
-- Returns {{field, count, recount}, ...} for what is wrong; nothing if a job has moved meanwhile.
local wrong = {}
if (redis.call('HGET', KEYS[1], 'moves') or '') ~= ARGV[2] then
    return wrong
end
for i, field in ipairs({'waiting', 'running'}) do
    local is, should = tonumber(redis.call('HGET', KEYS[1], field) or 0) or 0, tonumber(ARGV[2 + i])
    if is ~= should then
        wrong[#wrong + 1] = {field, is, should}
        if ARGV[1] == '1' then
            redis.call('HSET', KEYS[1], field, should)
            keep_index(KEYS[1])
        end
    end
end
return wrong
