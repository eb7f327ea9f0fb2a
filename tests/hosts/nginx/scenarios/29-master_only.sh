# Started in the master process only, which then forks: the hooks that were in force come along, the watcher does not,
# and status() says so. The host may still poll() by hand.
init='require("ljinspect").init(3600, ngx.config.prefix() .. "hooks/hooks.lua")'
init_worker=''
write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "inherited ", info.vals.name, ".")
    return false
end)
LUA
nginx_start
like "no thread here" "$(ask /status)" "watcher=forked"
get "/greet?name=ann"
log_has "the inherited hook is hit" "inherited ann\."
rm "$hooks"
is "poll() by hand" "$(ask /poll)" "true"
get "/greet?name=bob"
log_lacks "finds that the file is gone" "inherited bob\."
