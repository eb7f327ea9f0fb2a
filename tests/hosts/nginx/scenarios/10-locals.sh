# vals has the locals that exist when control arrives at the line: none of those that come later, and where a name is
# used twice, the inner one.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
local function show(info)
    local all = {}
    for name, value in pairs(info.vals) do all[#all + 1] = name .. "=" .. tostring(value) end
    table.sort(all)
    ngx.log(ngx.WARN, info.finfo.currentline, ": ", table.concat(all, " "), ".")
    return false
end
dbg.set_hook("shop.lua", $(at shop price), nil, show)
dbg.set_hook("shop.lua", $(at shop price-shadowed), nil, show)
LUA
get /price
log_has "locals up to the line" ": $(at shop price): amount=20 gross=41 net=40\."
log_has "the inner one of two with the same name" \
    ": $(at shop price-shadowed): after=set after the hooked line amount=20 gross=41 net=inner text=41 EUR\."
