# A worker that sleeps in its event loop runs no Lua. A change made meanwhile is in force for the very next request: no
# poke in between, only the few milliseconds that the watcher's thread needs to notice; time enough is given here.
nginx_start
get "/greet?name=warm" # the module is loaded, the worker has done its first work
noticing=0.25
for round in 1 2 3 4; do
    write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "round $round ", info.vals.name, ".")
    return false
end)
LUA
    sleep $noticing
    get "/greet?name=next"
    is "round $round: the very next request is a hit" "$(log_count "round $round next\.")" 1
    remove_hooks
    sleep $noticing
    get "/greet?name=none"
    is "round $round: after removal the very next request is none" "$(log_count "round $round none\.")" 0
    is "round $round: and leaves no hook behind" "$(log_count "is gone: 1 hook removed")" "$round"
done
# Even where the first line that the request runs is the hooked one.
inline=$(grep -n 'location = /inline' "$here/nginx.conf.in" | cut -d: -f1)
get /inline
write_hooks <<LUA
require("resty.inspect.dbg").set_hook("content_by_lua(nginx.conf:$((inline + 1)))", 2, nil, function(info)
    ngx.log(ngx.WARN, "the first line.")
    return false
end)
LUA
sleep $noticing
get /inline
is "the first line of the next request is a hit" "$(log_count "the first line\.")" 1
remove_hooks
sleep $noticing
get /inline

like "the worker is as it was" "$(ask /status)" "debug_hook=false .*hooks=0 jit=true"
