# No hooks file, not even its directory, when nginx starts; then it comes, goes, and comes again. The worker has nothing
# to do in between.
rmdir "$prefix/hooks"
init_worker='require("ljinspect").init(3600, ngx.config.prefix() .. "later/hooks.lua")'
hooks=$prefix/later/hooks.lua
nginx_start
get "/greet?name=before"
log_lacks "a missing file is no error" "ljinspect: .*No such file"

mkdir "$prefix/later"
for round in 1 2 3; do
    hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "round $round: ", info.vals.name, ".")
    return false
end)
LUA
    get "/greet?name=there"
    log_has "round $round: the file is there, a hit" "round $round: there\."
    no_hooks
    get "/greet?name=gone"
    log_lacks "round $round: the file is gone, no hit" "round $round: gone\."
done
log_has "the log said so" "hooks file $hooks is gone: 1 hook removed" 3
