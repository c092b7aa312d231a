-- Forget a named graph. Jobs and batches that were made from it have its content themselves.
--
-- ARGV[1] owner    ARGV[2] name    ARGV[3] what must be there, as of `is_expected`
--
-- Returns {'gone'}, {'nothing'} where there was none, or {'other', etag of what is there}.
local owner, name = ARGV[1], ARGV[2]
expect_templates(owner)
local own, graphs = TEMPLATES .. ':' .. owner, TEMPLATES .. ':' .. owner .. ':graphs'
if redis.call('HEXISTS', own, name) == 0 then
    return {'nothing'}
end
local before = template_of(owner, name)
if not is_expected(before, ARGV[3]) then
    return {'other', etag_of(before)}
end
redis.call('HDEL', own, name)
redis.call('HDEL', graphs, name)
redis.call('HDEL', graphs, name .. ':extra_data')
count_templates(owner)
return {'gone'}
