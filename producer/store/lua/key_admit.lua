-- Count one request with an access key, and tell whether it may go on.
--
-- ARGV[1] SHA-256 of the key   ARGV[2] 'look': nothing is counted
--
-- Returns {'ok' or 'expired', record, 0}, {'limited', record, ms until it may come again} or {'unknown', '', 0}.
local text = redis.call('HGET', ACCESS_KEYS, ARGV[1])
local is_json, record = pcall(cjson.decode, text or '')
if not text or not is_json or type(record) ~= 'table' then
    return {'unknown', '', 0}
end
if tonumber(record.expires_ms) and tonumber(record.expires_ms) <= now_ms() then
    return {'expired', text, 0}
end
local rate = tonumber(record.rate)
if rate and rate > 0 and ARGV[2] ~= 'look' then
    -- The generic cell rate algorithm: one time a key, after which it is as if it had never been used.
    local pace = REQUESTS .. ARGV[1]
    local step = 1000 / rate
    local ahead = step * math.max(0, math.floor(rate) - 1)
    local at = math.max(tonumber(redis.call('GET', pace) or 0) or 0, now_ms())
    if at - now_ms() > ahead then
        return {'limited', text, math.ceil(at - now_ms() - ahead)}
    end
    redis.call('SET', pace, string.format('%.3f', at + step), 'PX', math.ceil(at + step - now_ms()) + 1000)
end
return {'ok', text, 0}
