# The hooked line itself waits: the request leaves the line for the event loop and comes back to it. That is one
# arrival, hence one hit, with many requests under way at the same time too.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
local function show(word)
    return function(info) ngx.log(ngx.WARN, word, " n=", info.vals.n, "."); return false end
end
dbg.set_hook("shop.lua", $(at shop nap), nil, show "nap")
dbg.set_hook("shop.lua", $(at shop fetch-connect), nil, show "connect")
dbg.set_hook("shop.lua", $(at shop fetch-receive), nil, show "receive")
LUA
each_once() { # WORD FIRST LAST: one log line for each number
    await log_has_now "$1 n=[0-9]+\." $(($3 - $2 + 1))
    is "$1: one hit for each request" \
        "$(grep -oE "$1 n=[0-9]+\." "$log" | grep -oE '[0-9]+' | sort -n | xargs)" "$(seq "$2" "$3" | xargs)"
}
get "/nap?n=1"
each_once nap 1 1
get "/fetch?n=1"
each_once connect 1 1
each_once receive 1 1

get_many /nap 2 200
each_once nap 1 200
get_many /fetch 2 100
each_once connect 1 100
each_once receive 1 100
