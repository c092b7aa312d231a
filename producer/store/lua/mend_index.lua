-- Find the entries of an index that do not belong there; remove them, if asked.
--
-- KEYS[1]  zset of jobs
-- ARGV[1]  which it is: leases, queued, delayed, live, jobs, ended, unpacked, copies or dead
-- ARGV[2]  '1' to mend
-- ARGV[3..] job id, ...: the entries to look at
--
-- Returns {{job id, its status ('' = no record)}, ...}.
local index, which, mend, strays = KEYS[1], ARGV[1], ARGV[2] == '1', {}

local function belongs(job, status)
    if which == 'leases' then
        return status == 'running'
    elseif which == 'queued' then
        local queue, priority = unpack(redis.call('HMGET', job, 'queue', 'priority'))
        return status == 'queued' and index == queued_key(queue, priority)
    elseif which == 'delayed' then
        return status == 'queued' or status == 'held'
    elseif which == 'live' then
        return is_live(status) and index == LIVE .. (redis.call('HGET', job, 'batch') or '')
    elseif which == 'jobs' then
        return redis.call('HEXISTS', job, 'batch') == 0 and index == jobs_key(owner_of(job))
    elseif which == 'ended' then
        return index == ENDED .. status
    elseif which == 'unpacked' then
        return not is_live(status) and redis.call('HEXISTS', job, 'p0') == 0
    elseif which == 'copies' then
        return status == 'succeeded' and redis.call('HEXISTS', job, 'deliver') == 1
            and redis.call('HEXISTS', job, 'copied_ms') == 0
    end
    return status == 'failed' and redis.call('HEXISTS', job, 'retried_as') == 0
end

-- A row that is packed has no record, and stays where ended jobs are listed.
local function is_kept(id)
    local status, made, _, is_torn = packed_row(id)
    if not status and is_torn then
        return true -- nobody knows how it ended, and it may be put back
    end
    if which == 'ended' then
        return status and index == ENDED .. status
    elseif which == 'unpacked' then
        return true -- upkeep drops what has expired meanwhile
    end
    return which == 'dead' and status == 'failed' and not made
end

for i = 3, #ARGV do
    local id, job = ARGV[i], JOB .. ARGV[i]
    local status = fields_of(job, 'status')
    if redis.call('ZSCORE', index, id) and not (status and belongs(job, status) or not status and is_kept(id)) then
        strays[#strays + 1] = {id, status or ''}
        if mend then
            redis.call('ZREM', index, id)
        end
    end
end
return strays
