# lua_code_cache off: each request has a VM of its own, which is attached to, hooked and closed with the request.
code_cache=off
init_worker=''
expect_error "lua_code_cache is off"
start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
write_hooks <<LUA
require("ljinspect").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "own VM: ", info.vals.name, ".")
    return false
end)
LUA
nginx_start
for name in a b c d; do get "/greet?name=$name"; done
log_has "each VM's hook is hit" "own VM: [abcd]\." 4
for _ in $(seq 50); do ask "/greet?name=e" >/dev/null; done
log_has "and so are fifty more" "own VM: e\." 50
like "no watcher is left behind" "$(find "/proc/$(workers | head -n 1)/task" -mindepth 1 -maxdepth 1 | wc -l)" '^[12]$'
