-- Parts for the scripts that write into the log of actions.

-- Write an entry, field, value, ... but for its time; return its id.
--
-- One that begins with the field `stranger` is of somebody who does not run the fleet. Of such an actor so many a minute are
-- written, else anybody could push out of the log what all others did; its next entry says how many `more` there were.
local function write_log(now, said)
    local more = 0
    if said[1] == 'stranger' then
        said = {unpack(said, 3)}
        local actor = ''
        for i = 1, #said, 2 do
            actor = said[i] == 'actor' and said[i + 1] or actor
        end
        expect_type('hash', ACTIONS_OFTEN)
        local since, written, left = string.match(redis.call('HGET', ACTIONS_OFTEN, actor) or '', '^(%d+) (%d+) (%d+)$')
        since, written, more = tonumber(since) or 0, tonumber(written) or 0, tonumber(left) or 0
        if now < since or now >= since + 60000 then
            since, written = now, 0
        end
        local is_beyond = written >= MOST_LOGGED
        local noted = is_beyond and {since, written, more + 1} or {since, written + 1, 0}
        redis.call('HSET', ACTIONS_OFTEN, actor, table.concat(noted, ' '))
        redis.call('PEXPIRE', ACTIONS_OFTEN, 86400000)
        if is_beyond then
            return ''
        end
    end
    if more > 0 then
        said[#said + 1], said[#said + 2] = 'more', more
    end
    return redis.call('XADD', ACTIONS, 'MAXLEN', '~', ACTIONS_KEPT, '*', 'at', now, unpack(said))
end
