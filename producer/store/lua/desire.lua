-- Write what a person wants of a node where it is kept and into the node's record, which its beats read; call its worker.
--
-- KEYS[1]  hash of what is wanted    KEYS[2]  node hash
-- ARGV[1]  node                      ARGV[2]  the wish, JSON ('' = nothing special any more)
-- ARGV[3]  field of the node's record for wishes of this kind
--
-- Returns 1 if something was wanted before.
local before = keep_wish(KEYS[1], ARGV[1], ARGV[2])
copy_wish(KEYS[2], ARGV[3], ARGV[2])
call_node(ARGV[1])
return before
