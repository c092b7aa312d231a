-- Write what a person wants of a pool where it is kept, and into the record of each of its nodes; call their workers.
-- Nodes that join later read it when they register.
--
-- KEYS[1]  hash of what is wanted of pools
-- ARGV[1]  pool                ARGV[2]  the wish, JSON ('' = nothing special any more)
--
-- Returns 1 if something was wanted before.
local before = keep_wish(KEYS[1], ARGV[1], ARGV[2])
for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
    if fields_of(NODE .. node, 'pool') == ARGV[1] then
        copy_wish(NODE .. node, 'pool_desired', ARGV[2])
        call_node(node)
    end
end
return before
