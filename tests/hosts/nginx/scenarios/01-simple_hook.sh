# The first thing everybody does: a hooks file that prints a local of a function, once.
nginx_start
get "/greet?name=ann"

hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "greeting=", info.vals.greeting)
    return true
end)
LUA
log_has "the log says what was applied" \
    "\[info\].*ljinspect: hooks file $hooks applied: 1 hook: shop.lua#$(at shop greet) \(armed\)"

get "/greet?name=ann"
log_has "the local is in the log" "\[warn\].*hooks.lua:3: greeting=hello ann,"

get "/greet?name=bob"
log_lacks "the filter returned true: the hook is gone" "greeting=hello bob"
