-- Ask for an action on many jobs, and write into the log who did.
--
-- KEYS[1]  action hash        KEYS[2]  list of its owner's actions
-- ARGV[1]  action id          ARGV[2]  how many of the arguments are fields of the log
-- ARGV[3..] field, value, ... of the log, then of the action
--
-- Returns {'new', 0}, {'same', 0} where there is one of this id already, which stays as it is, or {'full', waiting} where so
-- many of its owner's have not ended.
expect_type('hash', KEYS[1])
expect_type('zset', KEYS[2], ACTIONS_ASKED, ACTIONS_WAITING)
expect_type('stream', ACTIONS)

local function is_open(id)
    local state = fields_of(ACTION .. id, 'state')
    return state == 'waiting' or state == 'running'
end

if redis.call('EXISTS', KEYS[1]) == 1 then
    return {'same', 0}
end
local waiting = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    waiting = waiting + (is_open(id) and 1 or 0)
end
if waiting >= MOST_ACTIONS then
    return {'full', waiting}
end

local logged, now = tonumber(ARGV[2]), now_ms()
write_log(now, {unpack(ARGV, 3, 2 + logged)})
redis.call('HSET', KEYS[1], 'created_ms', now, unpack(ARGV, 3 + logged))
redis.call('PEXPIRE', KEYS[1], INDEX_MS)
redis.call('ZADD', ACTIONS_WAITING, now, ARGV[1])
redis.call('PEXPIRE', ACTIONS_WAITING, INDEX_MS)
local lasts = INDEX_MS + ACTION_KEPT_MS
for _, list in ipairs({KEYS[2], ACTIONS_ASKED}) do
    redis.call('ZADD', list, now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', list, '-inf', now - lasts)
    redis.call('PEXPIRE', list, lasts)
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ACTIONS_LISTED)) do
    if not is_open(id) then
        redis.call('DEL', ACTION .. id)
        redis.call('ZREM', KEYS[2], id)
        redis.call('ZREM', ACTIONS_ASKED, id)
    end
end
return {'new', 0}
