# Where the system does not notify the file is looked at; as somebody would set it up for a network file system.
init_worker='require("ljinspect").watch{file = ngx.config.prefix() .. "hooks/hooks.lua", delay = 0.05, poll = true}'
nginx_start
like "polling" "$(ask /status)" "watcher=polling"
hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "polled ", info.vals.name, ".")
    return false
end)
LUA
get "/greet?name=ann"
log_has "appears" "polled ann\."
no_hooks
get "/greet?name=bob"
log_lacks "disappears" "polled bob\."
