-- Make an ended job again as a new one, which stands for it from now on: as a dead letter, and in its batch's counts.
-- A job is made again once. Who asks again, or at the same time, gets the job that was made first.
--
-- KEYS[1]  hash of the ended job   KEYS[2]  hash of the new one
-- KEYS[3]  their template          KEYS[4]  their extra data ('' = none)
-- ARGV[1]  id of the ended job     ARGV[2]  id of the new one
-- ARGV[3]  '1' if the ended one must be a dead letter
-- ARGV[4]  ms from now to the start deadline
-- ARGV[5]  ms for which the template must stay
-- ARGV[6]  queue                   ARGV[7]  what the queue needs, JSON
-- ARGV[8]  secrets of the new one, JSON ('' = none)
-- ARGV[9..] field, value, ... of the new record, but for its status
--
-- Returns {'new', id}, {'same', id of the job made before}, or why not: {'missing', ''}, {'live', status},
-- {'no_dead_letter', status}, {'no_template', status}, {'torn', status}: it cannot be read what was made again,
-- {'owner_full', {how many of its owner wait, how many may}}.
local old, new, id = KEYS[1], KEYS[2], ARGV[2]
local status, ended, batch, made = unpack(redis.call('HMGET', old, 'status', 'ended_ms', 'batch', 'retried_as'))
local is_packed, is_torn = not status, false
if is_packed then
    status, made, batch, is_torn = packed_row(ARGV[1])
    ended = status
end
if not status then
    return {'missing', ''}
end
if is_torn then
    return {'torn', status}
end
if made then
    return {'same', made}
end
if not ended then
    return {'live', status}
end
if ARGV[3] == '1' and not redis.call('ZSCORE', DEAD, ARGV[1]) then
    return {'no_dead_letter', status}
end
for _, shared in ipairs({KEYS[3], KEYS[4]}) do
    if shared ~= '' and redis.call('EXISTS', shared) == 0 then
        return {'no_template', status}
    end
end
local full = owner_full(field_of(ARGV, 9, 'owner'), 1)
if full then
    return {'owner_full', full}
end
expect_indexes(field_of(ARGV, 9, 'owner'), ARGV[6], field_of(ARGV, 9, 'priority'))
redis.call('PEXPIRE', KEYS[3], ARGV[5], 'GT')
redis.call('PEXPIRE', KEYS[4], ARGV[5], 'GT')
keep_secrets(id, ARGV[8], ARGV[5])
if is_packed then
    note_made_again({ARGV[1], id})
else
    redis.call('HSET', old, 'retried_as', id)
end
redis.call('ZREM', DEAD, ARGV[1])
-- The results of a row are written again once the last job that was made of it has ended.
local function note_results(row, count)
    local file = string.format('%.0f', math.floor((row - 1) / RESULT_ROWS) + 1)
    local again = ' ' .. (redis.call('HGET', BATCH .. batch, 'results_again') or '')
    again = string.gsub(again, ' ' .. file .. '@%d+', '')
    redis.call('HSET', BATCH .. batch, 'results_again', string.sub(again .. ' ' .. file .. '@' .. count, 2))
end

if batch then
    add_count(BATCH .. batch, status, -1)
    -- A recount that runs meanwhile must know.
    local count = next_number(BATCH .. batch, 'made_again')
    local of, row = row_of(ARGV[1])
    row = of == batch and row or tonumber(redis.call('HGET', old, 'row') or 0) or 0
    if row > 0 then
        redis.call('HSET', new, 'row', row)
        note_results(row, count)
    end
end
redis.call('HSET', new, 'created_ms', now_ms(), 'queued_ms', now_ms(), 'start_by_ms', now_ms() + tonumber(ARGV[4]),
    unpack(ARGV, 9))
set_status(new, 'queued')
list_job(new, id)
open_queue(ARGV[6], ARGV[7])
keep_live(new)
index_queued(new, id)
emit(new, id, 'submitted')
return {'new', id}
