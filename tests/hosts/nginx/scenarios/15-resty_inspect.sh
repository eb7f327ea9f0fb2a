# A program and a hooks file written for lua-resty-inspect, unchanged: require "resty.inspect" starts it with a delay
# and a file, the hooks file requires "resty.inspect.dbg". The function given to set_hook is the one that the line is
# in.
init_worker='require("resty.inspect").init(3, ngx.config.prefix() .. "hooks/hooks.lua")'
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"

dbg.set_hook("shop.lua", $(at shop greet), require("shop").greet, function(info)
    ngx.log(ngx.INFO, debug.traceback("foo traceback", 3))
    ngx.log(ngx.INFO, dbg.getname(info.finfo))
    ngx.log(ngx.INFO, "greeting=", info.vals.greeting)
    return true
end)
LUA
get "/greet?name=ann"
log_has "traceback" "\[info\].*foo traceback"
log_has "name" "\[info\].*shop.lua:$(at shop greet) \(greet\)"
log_has "value" "\[info\].*greeting=hello ann"

hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.unset_all()
dbg.set_hook("shop.lua", $(at shop greet), nil, function() return false end)
dbg.set_hook("shop.lua", $(at shop price), nil, function() return false end)
dbg.unset_hook("shop.lua", $(at shop greet))
LUA
like "unset_all and unset_hook in a hooks file" "$(ask /hooks)" "^shop.lua#$(at shop price) (pending|armed)\$"
