-- Keep how long graph nodes of a shape, classes and loads of models take on a device, as its worker has seen it.
--
-- KEYS[1]  hash: rates of the shape         KEYS[2]  hash: seconds of the device
-- KEYS[3]  hash: seconds of the shape, which have no use without its rates
-- ARGV[1]  device              ARGV[2]  of the shape's graph nodes, `place=ms place=ms`; '' = nothing new
-- ARGV[3], ARGV[4], ...  fields of the device and their ms, in pairs
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[3], RATES_MS)
end
if #ARGV > 2 and redis.call('HLEN', KEYS[2]) < SECONDS_KEPT then
    redis.call('HSET', KEYS[2], unpack(ARGV, 3))
    redis.call('PEXPIRE', KEYS[2], RATES_MS)
end
return 1
