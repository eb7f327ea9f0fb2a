# The program has a debug hook of its own. It is called as before while hooks are in force, and is there when they have
# gone; and a guard against endless loops, which sets and clears one, works.
init='ticks = 0
        jit.off()
        debug.sethook(function() ticks = ticks + 1 end, "", 1000)'
nginx_start
ticking() { # the program's hook runs
    local before after
    before=$(ask /ticks)
    get /total
    after=$(ask /ticks)
    [ "$after" -gt "$before" ]
}
called() { if ticking; then ok "$1"; else not_ok "$1"; fi; }

called "before: the program's debug hook is called"
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "hit ", info.vals.name, ".")
    return false
end)
LUA
get "/greet?name=ann"
log_has "hooked" "hit ann\."
called "hooked: it is called as well"
no_hooks
called "afterwards: it is called"
like "afterwards: it is the VM's debug hook" "$(ask /status)" "debug_hook=true .*hooks=0"

# The program clears the debug hook, ours with it: with the public API it cannot be kept from that. Hits are missed
# until it is noticed, at the latest when the garbage collector has gone round.
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "again ", info.vals.name, ".")
    return false
end)
LUA
get /runaway
ask /collect >/dev/null
get "/greet?name=ann"
log_has "hooks are hit again after the program has cleared the debug hook" "again ann\."
no_hooks
get /runaway
