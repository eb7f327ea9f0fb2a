# A request waits on a line when the hook for the line is set, or replaced: it has arrived before. Coming back to the
# line is no arrival.
nginx_start
hook() { # NAME
    cat <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop wait), nil, function(info)
    ngx.log(ngx.WARN, "$1 n=", info.vals.n, ".")
    return false
end)
LUA
}
waiting() { [ "$(log_count "waiting n=$1\.")" -eq 1 ]; }
ask "/wait?n=1" >"$prefix/answer.1" &
first=$!
await waiting 1
hook first | hooks_are
ask "/wait?n=2" >"$prefix/answer.2" &
second=$!
await waiting 2
hook second | hooks_are
wait "$first" "$second"
is "the first is answered" "$(<"$prefix/answer.1")" "before 1 0 after"
is "the second is answered" "$(<"$prefix/answer.2")" "before 2 0 after"
log_has "the request that came after the hook is a hit" "first n=2\."
log_lacks "the one that waited on the line when the hook was set is none" "(first|second) n=1\."
log_lacks "nor is the other when the hook was replaced meanwhile" "second n=2\."
