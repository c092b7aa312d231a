-- Find, and mend, actions on many jobs that upkeep would not come to, and entries of its list that are of none.
--
-- ARGV[1]  1 = mend         ARGV[2..] action id, ...
--
-- Returns for each '' (nothing is wrong), 'unlisted' or 'stray'.
local faults = {}
for i = 2, #ARGV do
    local id, fault = ARGV[i], ''
    local state = fields_of(ACTION .. id, 'state')
    local is_open = state == 'waiting' or state == 'running'
    local is_listed = redis.call('ZSCORE', ACTIONS_WAITING, id)
    if is_open and not is_listed then
        fault = 'unlisted'
        if ARGV[1] == '1' then
            redis.call('ZADD', ACTIONS_WAITING, now_ms(), id)
            redis.call('PEXPIRE', ACTIONS_WAITING, INDEX_MS)
        end
    elseif is_listed and not is_open then
        fault = 'stray'
        if ARGV[1] == '1' then
            redis.call('ZREM', ACTIONS_WAITING, id)
        end
    end
    faults[i - 1] = fault
end
return faults
