# A function is hooked wherever nginx calls it from: each phase of a request, light threads, coroutines, timers; and the
# code in nginx.conf can be hooked too.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "in ", info.vals.name, ".")
    return false
end)
LUA
get /phases
for phase in set rewrite access content header_filter body_filter log; do log_has "$phase" "in $phase\."; done
get /threads
for place in thread coroutine timer; do log_has "$place" "in $place\."; done

inline=$(grep -n 'location = /inline' "$here/nginx.conf.in" | cut -d: -f1)
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("content_by_lua(nginx.conf:$((inline + 1)))", 3, nil, function(info)
    ngx.log(ngx.WARN, "in nginx.conf: ", info.vals.word, ".")
    return false
end)
LUA
get /inline
log_has "code in nginx.conf" "in nginx.conf: inline\."
