# What was passed for "...", a nil in the middle included.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop join), nil, function(info)
    local v = info.varargs
    ngx.log(ngx.WARN, "separator=", info.vals.separator, " varargs: ", tostring(v[1]), ",", tostring(v[2]), ",",
        tostring(v[3]), ",", tostring(v[4]), ".")
    return false
end)
LUA
get /join
log_has "varargs" "separator=- varargs: a,nil,3,nil\."
