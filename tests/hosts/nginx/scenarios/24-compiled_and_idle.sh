# The same when everything that the request runs has been compiled: machine code looks at no debug hook, so the change
# must get in before it is entered.
nginx_start
for _ in 1 2 3; do ask /compiled >/dev/null; done
for _ in $(seq 100); do echo "url = http://x/total"; done >"$prefix/curlrc"
curl -s --unix-socket "$prefix/http.sock" -K "$prefix/curlrc" -o /dev/null >/dev/null
get /total
for round in 1 2; do
    write_hooks <<LUA
local hits = 0
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop add), nil, function(info)
    hits = hits + 1
    if info.vals.i == 1000 then ngx.log(ngx.WARN, "round $round: ", hits, " hits.") end
    return false
end)
LUA
    sleep 0.25
    get /total
    log_has "round $round: each turn of the loop is a hit, the first included" "round $round: 1000 hits\."
    remove_hooks
    sleep 0.25
    get /total
    ask /compiled >/dev/null
    get /total
done
