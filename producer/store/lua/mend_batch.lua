-- Compare a sealed batch with its rows, with its end, and with the list of batches that upkeep feeds.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  '1' to mend
-- ARGV[3]  how many rows it is to feed: it counts so many as waiting
-- ARGV[4]  rows fed, and       ARGV[5]  edits of the rows, when these were counted
--
-- Returns {{fault, count as it stands there, recount}, ...}; the first two faults only if it has not been fed meanwhile:
--   waiting   it counts another number of rows
--   feeding   upkeep does not know that rows wait
--   results   it has ended, and nobody will write its results to the bucket
--   rest      so many rows ended with it without a record, and the list of such batches lacks it
--   untold    it has ended, and nobody will tell it outside, as its record asks for
--   torn ...  a field of this name, by which changes are told apart, is no number
--   end       so many of its jobs have not ended, by its own counts; yet it has, or with none it has not
local batch, id, mend, faults = KEYS[1], ARGV[1], ARGV[2] == '1', {}
local sealed, fed, edits, rest, ended = unpack(redis.call('HMGET', batch, 'sealed_ms', 'fed', 'edits', 'rest', 'ended_ms'))
if not sealed then
    return faults
end

local should, left, are_counts = tonumber(ARGV[3]), 0, true
for _, found in ipairs(redis.call('HMGET', batch, 'waiting', 'held', 'queued', 'running')) do
    are_counts = are_counts and is_count(found)
    left = left + (tonumber(found or 0) or 0)
end
if are_counts and (left == 0) ~= (ended ~= false) then
    faults[#faults + 1] = {'end', left, 0}
end
for _, field in ipairs({'edits', 'switches', 'made_again', 'n'}) do
    local found = redis.call('HGET', batch, field)
    if not is_count(found) then
        faults[#faults + 1] = {'torn ' .. field, found, 0}
        if mend then
            next_number(batch, field)
            edits = field == 'edits' and ARGV[5] or edits
        end
    end
end
local waiting = redis.call('HGET', batch, 'waiting') or '0'
local is = is_count(waiting) and tonumber(waiting)
if not rest and fed == ARGV[4] and edits == ARGV[5] then
    if is ~= should then
        faults[#faults + 1] = {'waiting', waiting, should}
        if mend and not is then
            redis.call('HSET', batch, 'waiting', should)
        elseif mend then
            redis.call('HSET', batch, 'waiting', is)
            add_waiting(id, should - is)
            count_owner(redis.call('HGET', batch, 'owner'), 'waiting', is - should) -- which has a count of its own
        end
    end
    if should > 0 and not redis.call('ZSCORE', FEEDING, id) then
        faults[#faults + 1] = {'feeding', should, 0}
        if mend then
            keep_feeding(id)
        end
    end
end
local done = tonumber(redis.call('HGET', batch, 'results') or 0) or 0
local received = tonumber(redis.call('HGET', batch, 'received')) or 0
local is_over = ended and left == 0 and are_counts
local is_written = done * RESULT_ROWS >= received and redis.call('HEXISTS', batch, 'results_again') == 0
if is_over and not is_written and not redis.call('ZSCORE', RESULTS, id) then
    faults[#faults + 1] = {'results', 0, 0}
    if mend then
        redis.call('ZADD', RESULTS, ended, id)
        keep_index(RESULTS)
    end
end
local rest_ms, rest_rows = unpack(redis.call('HMGET', batch, 'rest_ms', 'rest_rows'))
if rest and (tonumber(rest_rows) or 0) > 0 and redis.call('EXISTS', batch .. ':rows') == 1 then
    local list = ENDED .. rest .. ':batches'
    if not redis.call('ZSCORE', list, id) then
        faults[#faults + 1] = {'rest', rest_rows, 0}
        if mend then
            redis.call('ZADD', list, tonumber(rest_ms) or now_ms(), id)
            keep_until(list, math.max(now_ms(), redis.call('PEXPIRETIME', batch .. ':rows')))
        end
    end
end
local hook, told = unpack(redis.call('HMGET', batch, 'hook', 'told_ms'))
if hook and is_over and not told and not redis.call('ZSCORE', OUTBOX, 'batch:' .. id) then
    faults[#faults + 1] = {'untold', 0, 0}
    if mend then
        put_outbox('batch:' .. id, now_ms() + INDEX_MS)
    end
end
if mend and #faults > 0 then
    note_finish(id)
    keep_batch(id)
end
return faults
