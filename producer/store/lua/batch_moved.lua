-- Note that a batch's live jobs have been moved as was asked for; stop looking at it if that was all.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  what was asked for: 'cancel', 'release' or '' (a hold lasts)
-- ARGV[3]  how often it had been held or released by then: what was asked for since is not done yet
local moving, switches = unpack(redis.call('HMGET', KEYS[1], 'moving', 'switches'))
if ARGV[2] ~= '' and moving == ARGV[2] and (switches or '0') == ARGV[3] then
    redis.call('HDEL', KEYS[1], 'moving')
end
stop_feeding_if_done(ARGV[1])
return 'ok'
