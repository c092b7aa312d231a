-- Find batches that are there, and that the list of batches lacks; list them again, if asked.
--
-- ARGV[1]  '1' to mend         ARGV[2..] batch, ...
--
-- Returns {batch, ...}.
local lacking = {}
for i = 2, #ARGV do
    -- Jobs may name a batch that was never opened; that has counts, and nothing else.
    local created, start_by = fields_of(BATCH .. ARGV[i], 'created_ms', 'start_by_ms')
    if created and not redis.call('ZSCORE', BATCHES, ARGV[i]) then
        lacking[#lacking + 1] = ARGV[i]
        if ARGV[1] == '1' then
            redis.call('ZADD', BATCHES, tonumber(created) or now_ms(), ARGV[i])
            keep_index(BATCHES, tonumber(start_by or 0) or 0)
        end
    end
end
return lacking
