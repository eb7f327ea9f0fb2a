# getname() names a function for a log line: place, and name where there is one.
nginx_start
hooks_are <<LUA
local dbg = require "apisix.inspect.dbg"
local function name(info)
    ngx.log(ngx.WARN, "name: ", dbg.getname(info.finfo), ".")
    return false
end
dbg.set_hook("shop.lua", $(at shop greet), nil, name)
dbg.set_hook("shop.lua", $(at shop innermost), nil, function(info)
    ngx.log(ngx.WARN, "C: ", dbg.getname(debug.getinfo(print)), ".")
    return name(info)
end)
LUA
get "/greet?name=ann"
get /trace
log_has "a method" "name: [^ ]*shop.lua:$(at shop greet) \(greet\)\."
log_has "a local function" "name: [^ ]*shop.lua:$(at shop innermost) \(innermost\)\."
log_has "a C function without a name" "C: \?\."
