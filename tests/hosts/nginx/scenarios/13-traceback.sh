# Level 3, as hooks files have always written it, is the hooked function.
nginx_start
line=$(at shop innermost)
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $line, nil, function(info)
    ngx.log(ngx.WARN, debug.traceback("from here", 3))
    ngx.log(ngx.WARN, "level 3 is at ", debug.getinfo(3, "l").currentline, ", the same function: ",
        debug.getinfo(3, "f").func == info.finfo.func, ".")
    return false
end)
LUA
get /trace
log_has "a traceback is logged" "hooks.lua:3: from here"
frames=$(grep -A 4 'from here' "$log" | tail -n +2)
like "it starts" "$(sed -n 1p <<<"$frames")" "^stack traceback:"
like "with the hooked function" "$(sed -n 2p <<<"$frames")" "shop.lua:$line: in function 'innermost'"
like "then its caller" "$(sed -n 3p <<<"$frames")" "shop.lua:[0-9]+: in function 'middle'"
like "and the caller's caller" "$(sed -n 4p <<<"$frames")" "shop.lua:[0-9]+: in function 'outermost'"
log_has "debug.getinfo counts the same way" "level 3 is at $line, the same function: true\."
