-- What a person wants of a node.

-- Return a wish as it is written, JSON; '' if it is over.
local function present_wish(text)
    local is_json, wish = pcall(cjson.decode, text)
    local until_ms = is_json and type(wish) == 'table' and tonumber(wish.until_ms)
    return (until_ms and until_ms <= now_ms()) and '' or text
end

