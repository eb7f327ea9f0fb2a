# A worker crashes. nginx starts another, which watches the hooks file like the one before; what is hooked in the others
# is not touched.
workers=2
nginx_start
greets() { # TEXT
    cat <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, " in ", ngx.worker.pid(), ".")
    return false
end)
LUA
}
hit_in() { grep -oE "$1 in [0-9]+" "$log" | grep -oE '[0-9]+' | sort -nu | xargs; }
hits_all() {
    curl -s -Z --parallel-max 20 --unix-socket "$prefix/http.sock" "http://x/greet?name=${1#* }&n=[1-20]" >/dev/null 2>&1
    [ "$(hit_in "$1")" = "$(workers | xargs)" ]
}
greets first | hooks_are
await hits_all "first ann"
is "both workers are hit" "$(hit_in "first ann")" "$(workers | xargs)"
for signal in SEGV KILL; do
    victim=$(workers | head -n 1) survivor=$(workers | tail -n 1)
    expect_error "worker process $victim exited on signal"
    kill -"$signal" "$victim"
    replaced() { [ "$(workers | wc -l)" -eq 2 ] && ! workers | grep -qx "$victim"; }
    await replaced || not_ok "another worker comes" "$(workers)"
    await hits_all "first $signal"
    is "$signal: the new worker and the old one are hit" "$(hit_in "first $signal")" "$(workers | xargs)"
    like "the old one is still there" "$(workers | xargs)" "$survivor"
done
greets second | write_hooks
await hits_all "second bob"
is "both see changes" "$(hit_in "second bob")" "$(workers | xargs)"
get "/greet?name=carol"
