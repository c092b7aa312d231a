-- Tell every worker what waits where, and which models the ready nodes have loaded.
-- One process asks for it, so that it costs two commands however many nodes listen.
--
-- KEYS[1]  lock that keeps it from being told too often
-- ARGV[1]  ms of silence after which a node counts as gone
-- ARGV[2]  ms from one to the next, at least
-- ARGV[3]  ms more for each living node: each of them is told of all the others
-- ARGV[4..] every priority
--
-- Publishes `outlook` and JSON, {"every_ms": n, "waiting": [...], "nodes": [...]}:
--   waiting  [queue, priority, jobs, when the oldest was sent, ms]
--   nodes    [pool, hash of the catalog, models as JSON, 1 if idle else 0, [node, ...]]
-- Tells the event stream of nodes that have fallen silent, too.
-- Returns 1 if it told, else 0.

-- A node that falls silent writes nothing itself. Whoever was gone for longer was told of, or nobody swept then.
local GONE_MS = 600000
local known = redis.call('ZRANGE', NODES, now_ms() - ARGV[1] - GONE_MS, '+inf', 'BYSCORE', 'WITHSCORES')
local living, silent = {}, {}
for i = 1, #known, 2 do
    local nodes = now_ms() - tonumber(known[i + 1]) > tonumber(ARGV[1]) and silent or living
    nodes[#nodes + 1] = known[i]
end
local every = ARGV[2] + ARGV[3] * #living
-- A little less, so that whoever comes when it is due does not come too soon.
if not redis.call('SET', KEYS[1], '', 'NX', 'PX', math.floor(every * 0.9)) then
    return 0
end
for _, node in ipairs(silent) do
    local state = redis.call('HGET', NODE .. node, 'state')
    if state and state ~= 'offline' and redis.call('HSETNX', NODE .. node, 'silent', 1) == 1 then
        emit_node(node, 'offline', state, 'silent')
    end
end
local waiting = queue_lines({unpack(ARGV, 4)})
for _, line in ipairs(waiting) do
    line[5] = nil -- nobody asks which job it is
end
local nodes, alike = {}, {}
for _, node in ipairs(living) do
    local state, pool, catalog, models =
        fields_of(NODE .. node, 'state', 'pool', 'catalog_sha', 'warm')
    if state == 'ready' and pool then
        local idle = redis.call('ZSCORE', IDLE .. pool, node) and 1 or 0
        local what = {pool, catalog or '', models or '[]', idle}
        local id = table.concat(what, ' ')
        if not alike[id] then
            what[5] = {}
            alike[id] = what[5]
            nodes[#nodes + 1] = what
        end
        table.insert(alike[id], node)
    end
end
redis.call('PUBLISH', CALLS, 'outlook ' .. cjson.encode({
    every_ms = every, waiting = waiting, nodes = nodes,
}))
return 1
