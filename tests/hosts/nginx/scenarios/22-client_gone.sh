# A client gives up while its request waits on the hooked line. nginx ends the request's coroutine there and uses its
# memory again; the requests that come next are hits like any other.
nginx_start
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop long-nap), nil, function(info)
    ngx.log(ngx.WARN, "long nap n=", info.vals.n, ".")
    return false
end)
LUA
for round in 1 2 3; do
    curl -s --max-time 0.05 --unix-socket "$prefix/http.sock" "http://x/long_nap?n=0"
    await log_has_now "client (prematurely )?closed|closed prematurely|client 'exited'|epoll_wait\(\) reported" "$round"
done
log_has "three clients gave up" "long nap n=0\." 3
for n in 1 2 3 4 5 6; do get "/long_nap?n=$n"; done
is "each request after them is a hit" "$(grep -oE 'long nap n=[1-9]\.' "$log" | grep -oE '[0-9]' | xargs)" "1 2 3 4 5 6"
