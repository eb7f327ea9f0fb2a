# A hook that counts its hits and has seen enough after two.
nginx_start
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
local hits = 0
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    hits = hits + 1
    ngx.log(ngx.WARN, "hit ", hits, " name=", info.vals.name, ".")
    return hits == 2
end)
LUA
get "/greet?name=one"
get "/greet?name=two"
get "/greet?name=three"
log_has "the first request is a hit" "hit 1 name=one\."
log_has "the second is the last" "hit 2 name=two\."
log_lacks "the third is none" "name=three\."
is "no hook is left" "$(ask /hooks)" ""
