# master_process off, as developers run nginx: one process is all there is. The file is applied when it serves, not while
# it is configured.
master_process=off
init_worker=''
init='require("shop").greet("init")'
start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
write_hooks <<LUA
require("ljinspect").set_hook("shop.lua", $(at shop greet), require("shop").greet, function(info)
    ngx.log(ngx.WARN, "single ", info.vals.name, ".")
    return false
end)
LUA
nginx_start
get "/greet?name=ann"
get "/greet?name=bob"
log_has "each request is a hit" "single (ann|bob)\." 2
log_lacks "init_by_lua was before that" "single init\."
