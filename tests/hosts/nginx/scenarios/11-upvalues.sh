# uv has the upvalues that the function uses; the other locals of the file are not its own.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop price), nil, function(info)
    local all = {}
    for name, value in pairs(info.uv) do all[#all + 1] = name .. "=" .. tostring(value) end
    ngx.log(ngx.WARN, "upvalues: ", table.concat(all, " "), ".")
    return false
end)
LUA
get /price
log_has "the one that is used, no other" "upvalues: currency=EUR\."
