-- Parts for the scripts that know what persons want of a node. Its record has copies, so that a beat reads them with what
-- it reads anyway.

-- Fields of a node's record: what is wanted of the node, its quarantine, what is wanted of its pool; and when somebody
-- asked last that its doubts be forgotten, that it be tried, that its ComfyUI be restarted, and at once, ms.
local WANTED = {'desired', 'quarantine', 'pool_desired', 'clear_ms', 'probe_ms', 'restart_ms',
    'restart_now_ms'}

-- Return a wish as it is written, JSON; '' if it is over.
local function present_wish(text)
    local is_json, wish = pcall(cjson.decode, text)
    local until_ms = is_json and type(wish) == 'table' and tonumber(wish.until_ms)
    return (until_ms and until_ms <= now_ms()) and '' or text
end

-- Return what a beat, or a registration, is told: the fields of WANTED, '' where there is nothing.
local function told_wishes(values)
    local told = {}
    for i = 1, #WANTED do
        told[i] = values[i] and (i <= 3 and present_wish(values[i]) or values[i]) or ''
    end
    return told
end

-- Write a copy of a wish into a node's record; '' or nil takes it out.
local function copy_wish(node_key, field, text)
    if not text or text == '' then
        redis.call('HDEL', node_key, field)
    elseif redis.call('HEXISTS', node_key, 'worker') == 1 then
        redis.call('HSET', node_key, field, text)
    end
end

-- Have a node's worker beat now.
local function call_node(node)
    redis.call('PUBLISH', CALLS, 'desired ' .. node)
end

-- Keep a wish, or take it out if it is ''; return 1 if there was one.
local function keep_wish(key, name, text)
    local before = redis.call('HEXISTS', key, name)
    if text == '' then
        redis.call('HDEL', key, name)
    else
        redis.call('HSET', key, name, text)
    end
    return before
end
