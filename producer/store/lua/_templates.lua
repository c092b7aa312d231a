-- Parts for the scripts that change named graphs.

-- The record of a named graph, or nil where there is none, or one that nobody can read.
local function template_of(owner, name)
    local is_json, found = pcall(cjson.decode, redis.call('HGET', TEMPLATES .. ':' .. owner, name) or '')
    if is_json and type(found) == 'table' and tonumber(found.revision) and type(found.template) == 'string' then
        return found
    end
end

-- What `If-Match` compares; see `Template.etag`.
local function etag_of(record)
    return record and record.revision .. '-' .. string.sub(record.template, 1, 12) or ''
end

-- Is a record what a caller says that it is? '' = whatever it is, '*' = there, a line end = not there, else its etag.
local function is_expected(record, wanted)
    if wanted == '' then
        return true
    elseif wanted == '*' then
        return record ~= nil
    elseif wanted == '\n' then
        return record == nil
    end
    return record ~= nil and etag_of(record) == wanted
end

-- Note how many named graphs an owner has.
local function count_templates(owner)
    local count = redis.call('HLEN', TEMPLATES .. ':' .. owner)
    if count > 0 then
        redis.call('HSET', TEMPLATES, owner, count)
    else
        redis.call('HDEL', TEMPLATES, owner)
    end
end

-- Refuse to begin where another type stands in place of an owner's named graphs.
local function expect_templates(owner)
    local own = TEMPLATES .. ':' .. owner
    expect_type('hash', TEMPLATES, own, own .. ':graphs')
end
