# An APISIX plugin's hooks file, unchanged: it encodes with cjson, and sends what it found away in a timer, where
# sockets and sleeping are allowed.
init_worker='require("apisix.inspect").init(3, ngx.config.prefix() .. "hooks/hooks.lua")'
nginx_start
if [ "$(ask /has_cjson)" != yes ]; then
    skip "a hooks file that uses cjson" "lua-cjson is not installed"
    return
fi
hooks_are <<LUA
local dbg = require "apisix.inspect.dbg"
local cjson = require "cjson"

dbg.set_hook("/plugins/limit.lua", $(at plugins/limit access), require("plugins.limit").access, function(info)
    local found = {name = dbg.getname(info.finfo), conf = info.vals.conf, key = info.vals.key}
    local ok, err = ngx.timer.at(0, function()
        ngx.sleep(0.01)
        ngx.log(ngx.WARN, "sent: ", cjson.encode(found))
    end)
    if not ok then ngx.log(ngx.ERR, "no timer: ", err) end
    return false
end)
LUA
get /plugins
get /plugins
log_has "what the timer sent" 'sent: .*"key":"plugins:k1"' 2
log_has "with the table that was a local" 'sent: .*"conf":\{"key":"k1"\}' 2
log_has "and the name" 'sent: .*"name":"[^"]*plugins\\/limit.lua:'"$(at plugins/limit access)"' \(access\)"' 2
