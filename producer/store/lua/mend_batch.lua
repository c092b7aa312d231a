-- Compare a sealed batch with its rows, and with the list of batches that upkeep feeds.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  '1' to mend
-- ARGV[3]  how many rows it is to feed: it counts so many as waiting
-- ARGV[4]  rows fed, and       ARGV[5]  edits of the rows, when these were counted
--
-- Returns {{fault, count, recount}, ...}; none if it has been fed meanwhile:
--   waiting   it counts another number of rows
--   feeding   upkeep does not know that rows wait
local batch, id, mend, faults = KEYS[1], ARGV[1], ARGV[2] == '1', {}
local sealed, waiting, fed, edits, rest =
    unpack(redis.call('HMGET', batch, 'sealed_ms', 'waiting', 'fed', 'edits', 'rest'))
if not sealed or rest or fed ~= ARGV[4] or edits ~= ARGV[5] then
    return faults
end
local is, should = tonumber(waiting or 0) or 0, tonumber(ARGV[3])
if is ~= should then
    faults[#faults + 1] = {'waiting', is, should}
    if mend then
        redis.call('HSET', batch, 'waiting', is)
        add_waiting(id, should - is)
    end
end
if should > 0 and not redis.call('ZSCORE', FEEDING, id) then
    faults[#faults + 1] = {'feeding', should, 0}
    if mend then
        look_after(id)
    end
end
return faults
