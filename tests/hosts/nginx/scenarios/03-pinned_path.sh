# plugins/limit.lua and more-plugins/limit.lua have the same lines. A leading "/" pins the directory.
nginx_start
line=$(at plugins/limit access)
is "both files have code on the line" "$(at more-plugins/limit access)" "$line"

hooks_are <<LUA
local dbg = require "apisix.inspect.dbg"
local function show(file)
    dbg.set_hook(file, $line, nil, function(info) ngx.log(ngx.WARN, file, " sees ", info.vals.key); return false end)
end
show "limit.lua"
show "plugins/limit.lua"
show "/plugins/limit.lua"
LUA
get /plugins
log_has "the file name is both files" \
    ": limit.lua sees (plugins:k1|more-plugins:k2)" 2
log_has "so is a path without the slash in front" ": plugins/limit.lua sees plugins:k1"
log_has "which ends the other path as well" ": plugins/limit.lua sees more-plugins:k2"
log_has "with it, it is one" ": /plugins/limit.lua sees plugins:k1"
log_lacks "and not the other" ": /plugins/limit.lua sees more"
