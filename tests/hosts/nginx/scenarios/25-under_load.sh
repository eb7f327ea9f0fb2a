# Changes while requests come without a pause: each is noticed and applied by the requests themselves, no response is
# different, nothing crashes.
nginx_start
get "/nap?n=0"
for _ in $(seq 20000); do echo "url = http://x/nap?n=0"; done >"$prefix/curlrc"
answers() { # what the clients got, each different answer once
    sort -u "$prefix"/load.* | grep .
}
for client in 1 2 3 4; do
    curl -s --unix-socket "$prefix/http.sock" -K "$prefix/curlrc" >"$prefix/load.$client" 2>/dev/null &
    loaders+=($!)
done
await test -s "$prefix/load.4"
verdicts_after() { [ "$(verdicts)" -gt "$verdicts_before" ]; }
for round in $(seq 10); do
    write_hooks <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop nap), nil, function(info)
    ngx.log(ngx.WARN, "round $round.")
    return true
end)
LUA
    await verdicts_after || not_ok "round $round: the file is applied"
    await log_has_now "round $round\." 1 || not_ok "round $round: the hook is hit"
    remove_hooks
    await verdicts_after || not_ok "round $round: the hooks are removed"
done
kill "${loaders[@]}" 2>/dev/null
wait "${loaders[@]}" 2>/dev/null
is "every answer under load was the same" "$(head -n -1 "$prefix/load.1" | sort -u)" "$body"
log_has "ten changes, ten hits" "\[warn\].*round [0-9]+\." 10
