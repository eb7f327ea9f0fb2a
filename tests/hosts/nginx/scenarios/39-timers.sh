# A worker without requests but with a timer of its own runs Lua now and then: the change is applied there, and the
# timer's code can be hooked.
init_worker='require("ljinspect").init(3600, ngx.config.prefix() .. "hooks/hooks.lua")
        ngx.timer.every(0.02, function() require("shop").greet("timer") end)'
nginx_start
applied() { [ "$(verdicts)" -gt "$verdicts_before" ]; }
write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "in the ", info.vals.name, ".")
    return true
end)
LUA
await applied || not_ok "applied without a request"
log_has "hit without a request" "in the timer\."
remove_hooks
await applied || not_ok "removed without a request"
log_has "the log says so" "hooks file .* is gone: 0 hooks removed"
