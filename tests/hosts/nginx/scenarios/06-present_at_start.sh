# The hooks file is there before nginx is: the first request is a hit.
write_hooks <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "greeting=", info.vals.greeting, ".")
    return false
end)
LUA
nginx_start
log_has "applied before any request, pending: shop.lua is not loaded yet" \
    "applied: 1 hook: shop.lua#[0-9]+ \(pending\).*init_worker_by_lua"
get "/greet?name=first"
log_has "the first request is a hit" "greeting=hello first\."
like "armed now" "$(ask /hooks)" "^shop.lua#[0-9]+ armed\$"
