# Every line of the program is hooked, and of the Lua library under it, and the filter looks at everything there is.
# Slow, but nothing is different.
nginx_start
routes="/greet?name=ann /price /join /trace /nap?n=1 /fetch?n=1 /plugins /rich /total /threads /phases /inline
    /leave?how=exit /leave?how=redirect /leave?how=exec"
for route in $routes; do get "$route"; done
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
local hits, sizes = 0, 0
local function look(info)
    hits = hits + 1
    for _, part in ipairs {"vals", "uv", "varargs"} do
        for name, value in pairs(info[part]) do sizes = sizes + #tostring(name) + #type(value) end
    end
    sizes = sizes + #debug.traceback("", 3) + #dbg.getname(info.finfo)
    if hits == 1 or hits == 5000 then ngx.log(ngx.WARN, hits, " hits.") end
    return false
end
for _, file in ipairs {"/shop.lua", "/routes.lua", "/limit.lua", "resty/core/var.lua", "resty/core/request.lua"} do
    for line = 1, 400 do dbg.set_hook(file, line, nil, look) end
end
LUA
for round in 1 2; do
    for route in $routes; do get "$route"; done
done
log_has "hits" " 5000 hits\."
no_hooks
log_has "all go" "is gone: 2000 hooks removed"
for route in $routes; do get "$route"; done
like "the worker is as it was" "$(ask /status)" "debug_hook=false .*hooks=0 jit=true"
