-- Keep how long graph nodes of a shape, classes and loads of models take on a device, as its worker has seen it.
--
-- KEYS[1]  hash: rates of the shape         KEYS[2]  hash: seconds of the device
-- ARGV[1]  device              ARGV[2]  of the shape's graph nodes, `place=ms place=ms`; '' = nothing new
-- ARGV[3], ARGV[4], ...  fields of the device and their ms, in pairs
local field = NODE_SECONDS .. ARGV[1]
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then -- no rates, no end of the key
    redis.call('HSET', KEYS[1], field, ARGV[2])
end
if #ARGV > 2 and redis.call('HLEN', KEYS[2]) < SECONDS_KEPT then
    redis.call('HSET', KEYS[2], unpack(ARGV, 3))
    redis.call('PEXPIRE', KEYS[2], RATES_MS)
end
return 1
