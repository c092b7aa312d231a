-- Note that a batch's live jobs have been moved as was asked for; stop looking at it if that was all.
--
-- KEYS[1]  batch hash
-- ARGV[1]  batch               ARGV[2]  what was asked for: 'cancel', 'release' or '' (a hold lasts)
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], 'moving') == ARGV[2] then
    redis.call('HDEL', KEYS[1], 'moving')
end
stop_looking(ARGV[1])
return 'ok'
