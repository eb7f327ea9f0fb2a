# lua_code_cache off: a new Lua VM for each request, and one context of ljinspect in each, with hooks armed when it is
# closed.
code_cache=off
expect_error "lua_code_cache is off"
init='require("ljinspect").set_hook("shop.lua", '$(at shop greet)', nil, function(info)
        ngx.log(ngx.WARN, "new VM: ", info.vals.name, ".")
        return false
    end)'
nginx_start
for name in a b c d; do get "/greet?name=$name"; done
log_has "each VM's hook is hit" "new VM: [abcd]\." 4
