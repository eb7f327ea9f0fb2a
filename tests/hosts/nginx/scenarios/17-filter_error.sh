# A filter with a mistake in it: the log has the hook's key and the mistake, the hook is gone, the request knows
# nothing. Other hooks on the line and elsewhere live on.
nginx_start
line=$(at shop greet)
expect_error "ljinspect: shop.lua#$line: error in filter"
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $line, nil, function(info)
    return info.vals.no_such_local.field
end)
dbg.set_hook("shop.lua", $line, nil, function(info)
    ngx.log(ngx.WARN, "the other hook: ", info.vals.name, ".")
    return false
end)
dbg.set_hook("shop.lua", $line, nil, function() error({code = 1}) end)
LUA
get "/greet?name=one"
get "/greet?name=two"
log_has "the error is logged with key, file and line" \
    "\[error\].*ljinspect: shop.lua#$line: error in filter, hook removed: .*hooks.lua:3: .*'no_such_local'"
log_has "an error that is no text as well" \
    "\[error\].*ljinspect: shop.lua#$line: error in filter, hook removed: .*table"
log_has "the other hook on the line stays" "the other hook: (one|two)\." 2
is "alone" "$(ask /hooks)" "shop.lua#$line armed"
