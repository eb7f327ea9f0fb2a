# Hooks in table form, in a hooks file: conditions and log lines that look at the request, a snapshot into a file, a count,
# and what a function returns, after how long, while its request waits in between.
nginx_start
get "/greet?name=ann"
get /price
lines=$prefix/hooks/lines.json

hooks_are <<LUA
local ljinspect = require "ljinspect"
ljinspect.set_hook {
    file = "shop.lua", line = $(at shop greet),
    condition = "name == 'bob' and ngx.var.arg_name == name",
    log = "{greeting}, {#greeting} characters, of {ngx.var.uri}; {no_such.field}",
    level = "warn", tag = "bobs", hits = 2,
}
ljinspect.set_hook {
    file = "shop.lua", line = $(at shop price),
    capture = { locals = true, upvalues = true, stack = 2, format = "json" },
    sink = "$lines", per_second = 1000,
}
ljinspect.set_hook { func = "shop.price", count = true, interval = 3600, hits = 3 }
LUA
for name in ann bob bob eve bob; do get "/greet?name=$name"; done
log_has "two of three, with parts that fail" \
    "\[warn\].*shop.lua#$(at shop greet) \[bobs\]: hello bob, 9 characters, of /greet; <error: attempt to index.*>" 2
log_lacks "no others" "hello (ann|eve),"
get /price
get /price
get /price
log_has "a count, by the function's name" "shop.lua#[0-9]+: 3 hits in "
written() { [ "$(grep -c '"gross"' "$lines" 2>/dev/null)" -ge 3 ]; }
await written || not_ok "the lines are in the file" "$(cat "$lines" 2>&1)"
like "with locals" "$(head -n 1 "$lines")" '"locals":\[.*\{"name":"gross","value":\{"type":"number","value":41\}\}'
like "and upvalues" "$(head -n 1 "$lines")" '"upvalues":\[.*\{"name":"currency","value":\{"type":"string","value":"EUR"\}\}'
like "and the stack" "$(head -n 1 "$lines")" "\"stack\":\[\{\"what\":\"Lua\",\"source\":\"[^\"]*shop.lua\",\"line\":$(at shop price),"

returns() {
    cat <<LUA
require("ljinspect").set_hook {
    func = "shop.wait", at = "return", level = "warn",
    condition = "duration_us > 100000",
    log = "waited: {returns.n} value, {returns[1]}, of {n}, at {ngx.var.uri}, {math.floor(duration_us / 1000)} ms.",
}
LUA
}
if [ "${LJINSPECT_ENGINE:-line}" = line ]; then
    expect_error "at: returns are seen by the trap engine only"
    hooks_are < <(returns)
    log_has "a hooks file with a hook on returns is refused, with the reason" \
        "hooks file .* failed.*at: returns are seen by the trap engine only, and this VM has the engine 'line'"
    get /price
    written() { [ "$(grep -c '"gross"' "$lines")" -ge 4 ]; }
    await written || not_ok "the hooks in force stay" "$(cat "$lines")"
else
    get "/wait?n=0"
    hooks_are < <(returns)
    get_many /wait 1 20
    log_has "each return of functions that wait in turns, after its own time" \
        'waited: 1 value, before [0-9]+ 0 after, of [0-9]+, at /wait, [0-9]+ ms\.' 20
    others=$(grep -oE 'before [0-9]+ 0 after, of [0-9]+' "$log" | awk '$2 != $6')
    is "values and arguments of one and the same call" "$others" ""
    # Half a second, by nginx's clock, which may be late by what the worker did since it last looked.
    log_lacks "a call that took less than it waited" "waited: .*, [1-3]?[0-9]?[0-9] ms\."
fi
no_hooks
get /price
