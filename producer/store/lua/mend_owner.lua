-- Compare what an owner has waiting and running with a count of its jobs; set it, if asked.
--
-- KEYS[1]  hash of the owner
-- ARGV[1]  '1' to mend         ARGV[2]  its `moves` before the jobs were counted
-- ARGV[3]  how many wait ('' = not known), and   ARGV[4]  how many run
--
-- Returns {{field, count as it stands there, recount}, ...} for what is wrong; only what is no number if a job has moved
-- meanwhile. What has rendered, `gpu_ms`, nothing else tells: it begins anew.
local wrong = {}

local function compare(field, should)
    local found = redis.call('HGET', KEYS[1], field) or '0'
    if is_count(found) and (not should or tonumber(found) == should) then
        return
    end
    wrong[#wrong + 1] = {field, found, should or 0}
    if ARGV[1] == '1' and field == 'moves' then
        next_number(KEYS[1], 'moves')
    elseif ARGV[1] == '1' then
        redis.call('HSET', KEYS[1], field, should or 0)
        keep_index(KEYS[1])
    end
end

local moves = redis.call('HGET', KEYS[1], 'moves') or ''
compare('gpu_ms')
compare('moves')
if moves == ARGV[2] then
    if ARGV[3] ~= '' then
        compare('waiting', tonumber(ARGV[3]))
    end
    compare('running', tonumber(ARGV[4]))
end
return wrong
