-- Keep a new access key under its hash.
--
-- ARGV[1] SHA-256 of the key   ARGV[2] its record, JSON   ARGV[3] ms until it expires (0 = never)
--
-- Returns the record as it is kept, or '' when another key has its name. A name whose key has expired is free.
local record = cjson.decode(ARGV[2])
local kept = redis.call('HGETALL', ACCESS_KEYS)
for i = 1, #kept, 2 do
    local is_json, other = pcall(cjson.decode, kept[i + 1])
    if is_json and type(other) == 'table' and other.name == record.name then
        if not (tonumber(other.expires_ms) and tonumber(other.expires_ms) <= now_ms()) then
            return ''
        end
        redis.call('HDEL', ACCESS_KEYS, kept[i])
    end
end
record.created_ms = now_ms()
if tonumber(ARGV[3]) > 0 then
    record.expires_ms = now_ms() + tonumber(ARGV[3])
end
local text = cjson.encode(record)
redis.call('HSET', ACCESS_KEYS, ARGV[1], text)
return text
