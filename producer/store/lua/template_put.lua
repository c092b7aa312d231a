-- Give a graph a name, or the name another graph: record and graph change in one step, or neither does. The name
-- holds a copy of its own, so it needs no template of jobs to live, and keeps none alive.
--
-- ARGV[1] owner                ARGV[2] name
-- ARGV[3] SHA-256 of the graph ARGV[4] that of what goes beside it ('' = nothing does)
-- ARGV[5] graph, packed        ARGV[6] what goes beside it, packed
-- ARGV[7] graph nodes of it    ARGV[8] bytes of it
-- ARGV[9] what must be there, as of `is_expected`
-- ARGV[10] most names of an owner          ARGV[11] most bytes of all of them, packed
--
-- Returns {'new' or 'changed' or 'same', record}, {'other', etag of what is there}, {'many', names},
-- or {'large', bytes with this one}.
local owner, name = ARGV[1], ARGV[2]
expect_templates(owner)
local own, graphs = TEMPLATES .. ':' .. owner, TEMPLATES .. ':' .. owner .. ':graphs'
local before = template_of(owner, name)
if not is_expected(before, ARGV[9]) then
    return {'other', etag_of(before)}
end
local function keep_graph()
    redis.call('HSET', graphs, name, ARGV[5])
    if ARGV[4] ~= '' then
        redis.call('HSET', graphs, name .. ':extra_data', ARGV[6])
    else
        redis.call('HDEL', graphs, name .. ':extra_data')
    end
end
if before and before.template == ARGV[3] and (before.extra_data or '') == ARGV[4] then
    keep_graph() -- it is there already, unless somebody has torn it
    return {'same', redis.call('HGET', own, name)}
end
local names = redis.call('HLEN', own) + 1 - redis.call('HEXISTS', own, name)
if names > tonumber(ARGV[10]) then
    return {'many', names - 1}
end
local packed = #ARGV[5] + #ARGV[6]
local total = packed
for _, other in ipairs(redis.call('HKEYS', own)) do
    if other ~= name then
        total = total + (tonumber((template_of(owner, other) or {}).packed) or 0)
    end
end
if total > tonumber(ARGV[11]) then
    return {'large', total}
end
local record = {
    revision = (before and tonumber(before.revision) or 0) + 1,
    template = ARGV[3],
    graph_nodes = tonumber(ARGV[7]),
    bytes = tonumber(ARGV[8]),
    packed = packed,
    created_ms = before and tonumber(before.created_ms) or now_ms(),
    updated_ms = now_ms(),
}
record.extra_data = ARGV[4] ~= '' and ARGV[4] or nil
keep_graph()
local text = cjson.encode(record)
redis.call('HSET', own, name, text)
count_templates(owner)
return {before and 'changed' or 'new', text}
