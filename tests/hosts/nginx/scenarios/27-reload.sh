# nginx -s reload: new workers in new Lua VMs, the old ones end. The hooks file is in force in the new ones from their
# start, and changes are seen.
nginx_start
one_hook() {
    cat <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, ".")
    return false
end)
LUA
}
one_hook first | hooks_are
get "/greet?name=ann"
log_has "hooked before the reload" "first ann\."
for round in 1 2 3; do
    old=$(workers)
    kill -HUP "$master"
    renewed() { [ "$(workers | wc -l)" -eq 1 ] && [ "$(workers)" != "$old" ]; }
    await renewed || not_ok "reload $round: the worker is replaced" "$(workers)"
    log_has "reload $round: the old worker ends well" "worker process $old exited with code 0"
    get "/greet?name=reloaded$round"
    log_has "reload $round: hooked from the start" " reloaded$round\."
    one_hook "after$round" | hooks_are
    get "/greet?name=changed"
    log_has "reload $round: changes are seen" "after$round changed\."
done
no_hooks
get "/greet?name=gone"
log_lacks "and so is the removal" " gone\."
