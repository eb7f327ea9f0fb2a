# Each worker watches for itself: both apply the file, both are hit. A worker that dies is replaced by one that has the
# hooks as well.
workers=2
nginx_start
is "two workers run" "$(workers | wc -l)" 2
applied_by() { grep -E 'ljinspect: hooks file .* applied' "$log" | grep -oE ' [0-9]+#' | sort -u | tr -d ' #' | xargs; }
all_applied() {
    ask /poke >/dev/null
    [ "$(applied_by)" = "$(workers | xargs)" ]
}
write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "hit in ", ngx.worker.pid(), ".")
    return false
end)
LUA
await all_applied
is "both have applied the file" "$(applied_by)" "$(workers | xargs)"

hit_in() { grep -oE 'hit in [0-9]+' "$log" | grep -oE '[0-9]+' | sort -nu | xargs; }
all_hit() {
    get "/greet?name=ann"
    [ "$(hit_in)" = "$(workers | xargs)" ]
}
await all_hit
is "both are hit" "$(hit_in)" "$(workers | xargs)"

victim=$(workers | head -n 1)
expect_error "worker process $victim exited on signal 9"
kill -KILL "$victim"
replaced() { [ "$(workers | wc -l)" -eq 2 ] && ! workers | grep -qx "$victim"; }
await replaced
new=$(workers | tail -n 1)
hit_in_new() { get "/greet?name=ann"; hit_in | grep -qw "$new"; }
await hit_in_new
like "the worker that took the place of a dead one is hit" "$(hit_in)" "\\b$new\\b"
