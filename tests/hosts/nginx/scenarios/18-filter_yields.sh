# A filter must not wait: not sleep, not talk to anybody, not even yield its coroutine. Trying is an error like any
# other, and what the request does next is its own: it sleeps on the line after, and must not be woken by the filter's
# sleep.
nginx_start
line=$(at shop greet)
expect_error "ljinspect: shop.lua#[0-9]+: error in filter"
for wait_ in 'ngx.sleep(0.001)' 'coroutine.yield()' \
    'local s = ngx.socket.tcp(); s:connect("unix:" .. ngx.config.prefix() .. "peer.sock"); s:receive()' \
    'ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.001) end))'; do
    hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $line, nil, function(info)
    $wait_
    ngx.log(ngx.WARN, "the filter went on")
    return false
end)
LUA
    get /rich
    get "/nap?n=1"
    get "/greet?name=ann"
done
log_has "each is an error" "\[error\].*ljinspect: shop.lua#$line: error in filter, hook removed: .*yield" 4
log_lacks "none went on" "the filter went on"

# In the middle of a request that waits itself.
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop nap), nil, function() ngx.sleep(0.002) end)
LUA
get "/nap?n=2"
log_has "on a line that waits itself" \
    "\[error\].*ljinspect: shop.lua#$(at shop nap): error in filter, hook removed: .*yield"
is "no hook is left" "$(ask /hooks)" ""
