-- Say that somebody watches events, so that workers write down progress as it comes; all of them hear it if that is new.
--
-- Returns 1 if it is new, else 0.
if redis.call('SET', WATCHED, '1', 'PX', WATCHED_MS, 'GET') then
    return 0
end
redis.call('PUBLISH', CALLS, 'watched')
return 1
