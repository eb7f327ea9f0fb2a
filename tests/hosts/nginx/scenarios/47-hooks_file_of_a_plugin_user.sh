# What people write who use a Lua plugin for this, as it is: a module of the application is required for its function, a
# traceback, a name, cjson, a timer that sends what was found, a hook that is hit once and one that counts. Nothing in
# nginx.conf names ljinspect.
init_worker=''
start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
write_hooks <<LUA
local dbg = require "apisix.inspect.dbg"
local cjson = require "cjson.safe"
local limit = require "plugins.limit"
local shop = require "shop"

-- once, with the stack
dbg.set_hook("plugins/limit.lua", $(at plugins/limit access), limit.access, function(info)
    ngx.log(ngx.INFO, debug.traceback("limit of " .. info.vals.key, 3))
    ngx.log(ngx.INFO, dbg.getname(info.finfo), ": ", cjson.encode(info.vals), ".")
    return true
end)

-- three times, counted in an upvalue, sent away from a timer
local seen = 0
local function send(premature, found)
    if premature then return end
    ngx.sleep(0.001)
    ngx.log(ngx.WARN, "found ", cjson.encode(found), ".")
end
dbg.set_hook("shop.lua", $(at shop price), shop.price, function(info)
    seen = seen + 1
    assert(ngx.timer.at(0, send, {n = seen, gross = info.vals.gross, currency = info.uv.currency}))
    return seen >= 3
end)

-- only where a condition holds, for good
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    if info.vals.name == "bob" and ngx.var.arg_name == "bob" then ngx.log(ngx.WARN, "bob is here.") end
    return false
end)
LUA
nginx_start
if [ "$(ask /has_cjson)" != yes ]; then
    skip "a hooks file that uses cjson" "lua-cjson is not installed"
    return
fi
for _ in 1 2 3 4 5; do
    get /plugins
    get /price
    get "/greet?name=ann"
done
log_has "once: the stack" "limit of plugins:k1$" 1
like "which starts at the hooked function" "$(grep -A 2 'limit of plugins:k1$' "$log" | tail -n 1)" \
    "plugins/limit.lua:$(at plugins/limit access): in function 'access'"
log_has "once: name and locals as JSON" \
    "plugins/limit.lua:$(at plugins/limit access) \(access\): \{.*\"key\":\"plugins:k1\".*\}\."
log_has "three times: what the timer has sent" 'found \{.*\}\.' 3
log_has "with locals and upvalues" 'found \{.*"gross":41.*\}\.' 3
log_has "with upvalues" 'found \{.*"currency":"EUR".*\}\.' 3
log_lacks "the condition does not hold yet" "bob is here"
get "/greet?name=bob"
get "/greet?name=bob"
log_has "a condition" "bob is here\." 2
