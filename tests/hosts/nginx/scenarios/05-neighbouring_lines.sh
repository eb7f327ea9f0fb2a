# Two hooks, one line after the other; the first one's value is there in the second, the second one's not yet.
nginx_start
first=$(at shop greet)
second=$(at shop greet-next)
is "the lines are neighbours" "$second" "$((first + 1))"

hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
local function show(info)
    ngx.log(ngx.WARN, "at ", info.finfo.currentline, " length=", tostring(info.vals.length), ".")
    return false
end
dbg.set_hook("shop.lua", $first, nil, show)
dbg.set_hook("shop.lua", $second, nil, show)
LUA
get "/greet?name=ann"
get "/greet?name=ann"
log_has "the first line is hit by each request, before it runs" "at $first length=nil\." 2
log_has "the second as well, after the first has run" "at $second length=9\." 2
is "in this order" "$(grep -oE 'at [0-9]+ length' "$log" | head -n 2 | xargs)" "at $first length at $second length"
