# A hooks file saved too early: the log says where the mistake is, the hooks in force stay, the corrected file is
# applied.
nginx_start
line=$(at shop greet)
good() {
    cat <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $line, nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, ".")
    return false
end)
LUA
}
good old | hooks_are
expect_error "ljinspect: hooks file $hooks failed"

hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", 1, nil, function(info)
    local x = = 1
end)
LUA
log_has "the mistake is logged with file and line" \
    "\[error\].*ljinspect: hooks file $hooks failed, hooks left as they were: .*hooks.lua:2: .*near '='"
get "/greet?name=one"
log_has "the old hook is still in force" "old one\."
is "and no other" "$(ask /hooks)" "shop.lua#$line armed"

hooks_are <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop price), nil, function()
    ngx.log(ngx.WARN, "half a file")
end)
error("half-way")
LUA
log_has "so is an error half-way" \
    "\[error\].*ljinspect: hooks file $hooks failed, hooks left as they were: .*hooks.lua:4: half-way"
get /price
get "/greet?name=two"
log_lacks "what came before the error was not put into force" "half a file"
log_has "the old hook still is" "old two\."

good new | hooks_are
get "/greet?name=three"
log_has "the corrected file is applied" "new three\."
log_lacks "instead of the old one" "old three\."
