# While a hook is set its function is not compiled (with the line engine nothing is); once the last has gone it and its
# callers are compiled again, the same way as before.
nginx_start
# The callee inlined into the trace of its caller's loop; which other traces there are is up to chance.
compiled='^traces: (.* )?total\+add( |$)'
like "before: the caller's loop is compiled with the callee in it" "$(ask /compiled)" "$compiled"

hooks_are <<LUA
local hits = 0
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop add), nil, function(info)
    hits = hits + 1
    if hits == 1000 then ngx.log(ngx.WARN, hits, " hits.") end
    return false
end)
LUA
get /total
log_has "a function that was inlined into its caller is hit" " 1000 hits\."
if [ "${LJINSPECT_ENGINE:-line}" = line ]; then
    is "hooked: nothing is compiled" "$(ask /compiled)" "traces: none"
    like "hooked: the compiler is off" "$(ask /status)" "jit=false"
else
    is "hooked: the hooked function is in no trace" "$(ask /compiled | grep -c '[ +]add')" 0
    like "hooked: the compiler is on" "$(ask /status)" "jit=true"
fi

no_hooks
like "file removed: compiled again, caller and callee" "$(ask /compiled)" "$compiled"
like "file removed: the compiler is on" "$(ask /status)" "debug_hook=false .*jit=true"

# The same when the filter removes its hook itself.
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop add), nil, function()
    ngx.log(ngx.WARN, "only once.")
    return true
end)
LUA
get /total
log_has "a hook that is hit once" "only once\."
like "removed by its filter: compiled again" "$(ask /compiled)" "$compiled"
like "removed by its filter: the compiler is on" "$(ask /status)" "jit=true"
