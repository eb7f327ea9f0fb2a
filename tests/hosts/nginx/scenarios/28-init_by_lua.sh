# Started in the master process, before it forks, and again in each worker: the master's thread does not get across the
# fork, the worker's own does the work. Reloading closes the master's VM with its watcher.
init='require("ljinspect").init(3600, ngx.config.prefix() .. "hooks/hooks.lua")'
workers=2
write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "inherited ", info.vals.name, ".")
    return false
end)
LUA
nginx_start
like "the worker has a watcher of its own" "$(ask /status)" "watcher=inotify"
get "/greet?name=ann"
log_has "the file is in force, once" "inherited ann\."

changed_for_all() {
    ask /poke >/dev/null
    [ "$(grep -E 'applied: 2 hooks' "$log" | grep -oE ' [0-9]+#' | sort -u | wc -l)" -ge 2 ]
}
write_hooks <<LUA
local dbg = require "resty.inspect.dbg"
local function show(info) ngx.log(ngx.WARN, "changed ", info.vals.name, "."); return false end
dbg.set_hook("shop.lua", $(at shop greet), nil, show)
dbg.set_hook("shop.lua", $(at shop price), nil, show)
LUA
await changed_for_all
get "/greet?name=bob"
log_has "changes are seen" "changed bob\."
log_lacks "the inherited hook is gone" "inherited bob\."

old=$(workers | xargs)
kill -HUP "$master"
renewed() { local w; w=$(workers | xargs); [ "$(wc -w <<<"$w")" -eq 2 ] && ! grep -qwE "${old/ /|}" <<<"$w"; }
await renewed || not_ok "the workers are replaced" "$(workers)"
get "/greet?name=carol"
log_has "after a reload as well" "changed carol\."
