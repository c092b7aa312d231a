-- Write down that an attempt enters a phase, and return the record.
--
-- KEYS[1]  job hash
-- ARGV[1]  job id              ARGV[2]  attempt
-- ARGV[3]  worker (boot id)    ARGV[4]  phase
--
-- Returns {'ok', {field, value, ...}}, {'cancel', {field, value, ...}} (written, and somebody asked for the job's end)
-- or {'lost', {}}.
local job, id, phase = KEYS[1], ARGV[1], ARGV[4]
local record = read_record(job)
if record.status ~= 'running' or record.attempt ~= ARGV[2] or record.worker ~= ARGV[3] then
    return {'lost', {}}
end
enter_phase(job, id, phase, now_ms(), record)
return {record.cancel and 'cancel' or 'ok', flat_of(record)}
