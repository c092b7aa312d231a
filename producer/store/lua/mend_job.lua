-- Compare records with the indexes that should list their jobs; add what is missing, if asked.
-- Both are read in one step, so that a job on its way from one status to the next is not misjudged.
--
-- ARGV[1]  '1' to mend         ARGV[2]  lease, ms
-- ARGV[3]  ms after which upkeep should have ended a lapsed lease
-- ARGV[4..] job id, ...
--
-- Returns {{job id, fault, detail}, ...}:
--   lease           it runs, but has no lease; it gets one, which its worker renews or which lapses
--   lapsed          its lease ran out so many ms ago; upkeep alone may end it
--   queue           it is queued, but in no index; its queue lists it again
--   delay           it waits out a delay that nobody will end; detail: when it is due, ms
--   start_deadline  nobody will end it at its start deadline; detail: that time, ms
--   listed          it was submitted singly, but its owner's jobs do not list it; detail: the owner
--   ended           it has ended without success, but is not listed so; detail: its status
--   unpacked        it has ended, and nobody will pack its record
--   untold          it has ended, and nobody will tell it outside, as its record asks for
--   uncopied        it has succeeded, and nobody will make the copies that its record asks for
--   live            its batch does not list it among its live jobs; detail: the batch
--   odd             one of its indexes is a key of another type, or a field of its record makes no sense
local mend, faults = ARGV[1] == '1', {}

local function delay(id, until_ms)
    if mend then
        redis.call('ZADD', DELAYED, until_ms, id)
        keep_index(DELAYED, redis.call('HGET', JOB .. id, 'start_by_ms'))
    end
end

local function check_running(id)
    local deadline = redis.call('ZSCORE', LEASES, id)
    if not deadline then
        faults[#faults + 1] = {id, 'lease', ''}
        if mend then
            redis.call('ZADD', LEASES, now_ms() + tonumber(ARGV[2]), id)
        end
    elseif now_ms() - tonumber(deadline) > tonumber(ARGV[3]) then
        faults[#faults + 1] = {id, 'lapsed', now_ms() - tonumber(deadline)}
    end
end

local function check_queued(id, job)
    local queue, priority, retry_at, start_by =
        unpack(redis.call('HMGET', job, 'queue', 'priority', 'retry_at_ms', 'start_by_ms'))
    local is_listed = redis.call('ZSCORE', queued_key(queue, priority), id)
    local is_delayed = redis.call('ZSCORE', DELAYED, id)
    if not is_listed and not retry_at then
        faults[#faults + 1] = {id, 'queue', ''}
        if mend then
            index_queued(job, id)
        end
    elseif not is_listed and not is_delayed then
        faults[#faults + 1] = {id, 'delay', retry_at}
        delay(id, retry_at)
    elseif not is_delayed then
        faults[#faults + 1] = {id, 'start_deadline', start_by}
        delay(id, start_by)
    end
end

local function check_batch(id, batch)
    if batch and not redis.call('ZSCORE', LIVE .. batch, id) then
        faults[#faults + 1] = {id, 'live', batch}
        if mend then
            redis.call('ZADD', LIVE .. batch, now_ms(), id)
            keep_index(LIVE .. batch, redis.call('HGET', JOB .. id, 'start_by_ms'))
        end
    end
end

local function give_life(key, job, start_by)
    keep_index(key, start_by)
    keep_until(key, now_ms() + math.max(0, redis.call('PTTL', job)))
end

local function check_listed(id, job, start_by)
    local owner = owner_of(job)
    local is_listed = tonumber(redis.call('ZSCORE', jobs_key(owner), id) or 1) == 0
    if is_listed and (owner == '' or redis.call('ZSCORE', OWNERS, owner)) then
        return
    end
    faults[#faults + 1] = {id, 'listed', owner}
    if mend then
        if owner ~= '' then
            redis.call('HSET', job, 'owner', owner)
        end
        list_job(job, id)
        give_life(jobs_key(owner), job, start_by)
        if owner ~= '' then
            give_life(OWNERS, job, start_by)
        end
    end
end

local function check_ended(id, job, status, start_by, ended)
    if not is_live(status) and status ~= 'succeeded' and not redis.call('ZSCORE', ENDED .. status, id) then
        faults[#faults + 1] = {id, 'ended', status}
        if mend then
            redis.call('ZADD', ENDED .. status, ended or now_ms(), id)
            give_life(ENDED .. status, job, start_by)
        end
    end
end

local function check_packed(id, job, batch, ended)
    if ended and redis.call('HEXISTS', job, 'p0') == 0 and not is_to_be_packed(id, batch)
        and not redis.call('ZSCORE', COPIES, id) then -- a row's is packed once its copies are made
        faults[#faults + 1] = {id, 'unpacked', ''}
        if mend then
            list_to_pack(id, batch, ended)
        end
    end
end

local function check_told(id, job)
    if not redis.call('ZSCORE', OUTBOX, 'job:' .. id) then
        faults[#faults + 1] = {id, 'untold', ''}
        if mend then
            put_outbox('job:' .. id, now_ms() + math.max(0, redis.call('PTTL', job)))
        end
    end
end

local function check_copied(id)
    if not redis.call('ZSCORE', COPIES, id) then
        faults[#faults + 1] = {id, 'uncopied', ''}
        if mend then
            list_copies(id)
        end
    end
end

local function check(id)
    local job = JOB .. id
    local status, batch, start_by, ended, hook, told, deliver, copied = unpack(redis.call('HMGET', job, 'status', 'batch',
        'start_by_ms', 'ended_ms', 'hook', 'told_ms', 'deliver', 'copied_ms'))
    if hook and ended and not told then
        check_told(id, job)
    end
    if deliver and status == 'succeeded' and not copied then
        check_copied(id)
    end
    if status and not batch then
        check_listed(id, job, start_by)
    end
    if status then
        check_ended(id, job, status, start_by, ended)
    end
    if is_live(status) then
        check_batch(id, batch)
    end
    if status == 'running' then
        check_running(id)
    elseif status == 'queued' then
        check_queued(id, job)
    elseif status and not is_live(status) then
        check_packed(id, job, batch, ended)
    end
end

for i = 4, #ARGV do
    -- An index that should list the job may be a key of another type, or a time in its record no number; the other jobs
    -- are looked at all the same.
    if not pcall(check, ARGV[i]) then
        faults[#faults + 1] = {ARGV[i], 'odd', ''}
    end
end
return faults
