# No change of nginx.conf: `ljinspect run -f` starts nginx with the library preloaded. Each worker applies the file before
# its first request, sees changes, and so do workers that come by a reload or for a dead one. The master runs no hooks.
init_worker=''
workers=2
start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
greets() { # TEXT
    cat <<LUA
local ljinspect = require "ljinspect"
ljinspect.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, " in ", ngx.worker.pid(), ".")
    return false
end)
LUA
}
greets preloaded | write_hooks
nginx_start
hit_in() { grep -oE "$1 in [0-9]+" "$log" | grep -oE '[0-9]+' | sort -nu | xargs; }
# Many at once, so that no worker goes without.
hits_all() {
    get "/greet?name=${1#* }"
    curl -s -Z --parallel-max 20 --unix-socket "$prefix/http.sock" "http://x/greet?name=${1#* }&n=[1-20]" >/dev/null 2>&1
    [ "$(hit_in "$1")" = "$(workers | xargs)" ]
}
get "/greet?name=first"
log_has "the very first request is a hit" "preloaded first in [0-9]+\."
await hits_all "preloaded ann"
is "every worker is hit" "$(hit_in "preloaded ann")" "$(workers | xargs)"
log_lacks "the master has applied nothing" " $master#.*ljinspect"
like "nothing of ljinspect's went elsewhere than to the log" "[$(grep -v 'is not there yet' "$prefix/stdout")]" '^\[\]$'

greets changed | write_hooks
await hits_all "changed bob"
is "a change is applied by every worker" "$(hit_in "changed bob")" "$(workers | xargs)"

old=$(workers | xargs)
kill -HUP "$master"
renewed() { local w; w=$(workers | xargs); [ "$(wc -w <<<"$w")" -eq 2 ] && ! grep -qwE "${old/ /|}" <<<"$w"; }
await renewed || not_ok "a reload replaces the workers" "$(workers)"
await hits_all "changed carol"
is "new workers of a reload have the hooks" "$(hit_in "changed carol")" "$(workers | xargs)"

victim=$(workers | head -n 1)
expect_error "worker process $victim exited on signal 9"
kill -KILL "$victim"
replaced() { [ "$(workers | wc -l)" -eq 2 ] && ! workers | grep -qx "$victim"; }
await replaced
await hits_all "changed dave"
is "and so has the worker that takes a dead one's place" "$(hit_in "changed dave")" "$(workers | xargs)"

rm "$hooks"
none_hit() { local n; n=$(log_count "changed erin"); get "/greet?name=erin"; get "/greet?name=erin"; [ "$(log_count "changed erin")" -eq "$n" ]; }
await none_hit && ok "a removed file takes the hooks of every worker away"
get /rich
get /phases
get "/nap?n=1"
