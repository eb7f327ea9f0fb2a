# The hooked line ends the request: by ngx.exit, a redirect, an internal redirect, an error of the program's own. All
# goes as without a hook, and the next requests are hits.
nginx_start
expect_error "lua entry thread aborted: runtime error: .*shop.lua:$(at shop leave): leave by error"
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop leave), nil, function(info)
    ngx.log(ngx.WARN, "leaving by ", info.vals.how, ".")
    return false
end)
LUA
for round in 1 2; do
    for how in exit redirect exec error; do
        get "/leave?how=$how"
        log_has "$how, round $round" "leaving by $how\." "$round"
    done
done
log_has "the program's own errors are logged as ever" "runtime error: .*leave by error" 2
