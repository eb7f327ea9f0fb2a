# Binary upgrade: on USR2 the master starts a new nginx, which serves at the same time and stays when the old one goes.
# nginx clears the environment of the new one, but for what `env` lines in nginx.conf let through. (It heeds USR2 only once
# the process that started it has gone.)
daemon=on
init_worker=''
main='env LD_PRELOAD; env LJINSPECT_HOOKS_FILE; env LD_LIBRARY_PATH;'
start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
greets() { # TEXT
    cat <<LUA
require("ljinspect").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, " in ", ngx.worker.pid(), ".")
    return false
end)
LUA
}
greets before | write_hooks
nginx_start
get "/greet?name=ann"
log_has "hooked before the upgrade" "before ann in"

old_worker=$(workers)
kill -USR2 "$master"
new_master() { for pid in $(children "$master"); do grep -qa 'nginx: master' "/proc/$pid/cmdline" && echo "$pid"; done; }
upgraded() { [ -n "$(new_master)" ] && [ -n "$(children "$(new_master)")" ]; }
await upgraded || not_ok "a new master starts"
new=$(new_master)
new_worker=$(children "$new" | tr -d ' ')
kill -WINCH "$master"
await exited "$old_worker"
get "/greet?name=bob"
log_has "the new nginx's worker is hit" "before bob in $new_worker\."

changed() {
    get "/greet?name=carol"
    log_has_now "after carol in $new_worker\." 1
}
greets after | write_hooks
await changed || not_ok "and sees changes"

# Back: the old master starts a worker of its own again, the new nginx goes.
kill -HUP "$master"
restarted() { workers | grep -vqx "$new"; }
await restarted
kill -QUIT "$new"
await exited "$new"
back=$(workers | grep -vx "$new")
get "/greet?name=dave"
log_has "the old nginx, gone back to, has the hooks, too" "after dave in $back\."
