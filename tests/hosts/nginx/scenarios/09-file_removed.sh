# Removing the hooks file removes the hooks, and the worker is as it was: no debug hook, the compiler on.
nginx_start
get "/greet?name=ann"
before=$(ask /status)
like "before: no hooks, the compiler is on" "$before" "debug_hook=false .*hooks=0 jit=true"

hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "hit ", info.vals.name)
    return false
end)
dbg.set_hook("shop.lua", $(at shop price), nil, function() return false end)
LUA
get "/greet?name=ann"
log_has "hooked" "hit ann"
like "two hooks in force" "$(ask /status)" "hooks=2 "

no_hooks
get "/greet?name=bob"
log_has "the log says so" "hooks file .* is gone: 2 hooks removed"
log_lacks "no hit" "hit bob"
is "the worker is as it was" "$(ask /status)" "$before"
