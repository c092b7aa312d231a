-- Find entries of the outbox of which nothing is to be told; remove them, if asked.
--
-- ARGV[1]  '1' to mend         ARGV[2..] entries
--
-- Returns {entry, ...}: no job or batch of that name has ended, asks for it and is untold; or, of an event before the end,
-- none asks for it. What is told of nodes says itself all that is told.
local strays = {}
for i = 2, #ARGV do
    local event, about = string.match(ARGV[i], '^event:(%a+)%.%a+:(.+)$')
    local kind, id = string.match(ARGV[i], '^(%a+):(.+)$')
    kind, id = event or kind, about or id
    local key = kind == 'job' and JOB or kind == 'batch' and BATCH
    local found = key and redis.pcall('HMGET', key .. id, 'hook', 'ended_ms', 'told_ms') or {}
    local is_due = not found.err and found[1] and (event or found[2] and not found[3])
    is_due = is_due or event == 'node' and pcall(cjson.decode, about)
    if redis.call('ZSCORE', OUTBOX, ARGV[i]) and not is_due then
        strays[#strays + 1] = ARGV[i]
        if ARGV[1] == '1' then
            redis.call('ZREM', OUTBOX, ARGV[i])
        end
    end
end
return strays
