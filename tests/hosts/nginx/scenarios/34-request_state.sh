# A request with state of its own: status, headers, ngx.ctx, several writes with a wait between. Filters that read the
# request leave it as it is.
nginx_start
get /rich
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    local seen = table.concat({ngx.var.uri, ngx.ctx.visited, ngx.status, ngx.get_phase()}, " ")
    ngx.log(ngx.WARN, info.vals.name, ": ", seen, ".")
    ngx.re.match("abc", "b")
    collectgarbage()
    return false
end)
LUA
get /rich
log_has "the filter sees the request" "(header|one|two): /rich yes 202 content\." 3
