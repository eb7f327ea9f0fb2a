#!/bin/bash
# ljinspect gc: counts that are the program's own, ways to objects that are held in known ways, processes that change.
. "$(dirname "$0")/lib.sh"

gc() { "$ljinspect" gc "$@"; }
say() { # LINE: to the program; waits for its answer, the bytes that LuaJIT counts
    local answers i
    answers=$(grep -cxF . "$work/out")
    echo "$1" >"$work/in"
    for i in $(seq 400); do
        [ "$(grep -cxF . "$work/out")" -gt "$answers" ] && break
        sleep 0.05
    done
    counted=$(tail -n 2 "$work/out" | head -n 1)
}
types=(string upvalue thread prototype function trace cdata table userdata)
counts() { # JSON's paths of counts, from standard input
    valid_json $(printf '1.types.%s.count ' "${types[@]}")
}
bytes() { # all that was found, from standard input
    valid_json 1.vm_bytes $(printf '1.types.%s.bytes ' "${types[@]}") | awk '{ n += $1 } END { print n }'
}
difference() { paste -d ' ' <(printf '%s\n' "${types[@]}") <(echo "$1") <(echo "$2") | awk '{ print $1, $3 - $2 }'; }

# ---- Counts ----

start luajit -joff "$here/heap.lua"
say nothing
before=$(gc --json "$pid" | counts)
say objects
after=$(gc --json "$pid" | counts)
check "as many objects more as were made" same \
    "$(printf '%s\n' "string 400" "upvalue 500" "thread 200" "prototype 0" "function 500" "trace 0" "cdata 100" "table 1000" "userdata 300")" \
    "$(difference "$before" "$after")"
stop "$pid"

for mode in off on; do
    start luajit -j$mode "$here/heap.lua"
    say objects
    say ways
    json=$(gc --json "$pid")
    heap=$(valid_json 1.heap_bytes <<<"$json")
    # The line in which the program says it is a string, too.
    check "JIT $mode: LuaJIT's own count is read ($heap, $counted)" [ $((heap - counted)) -ge 0 -a $((heap - counted)) -lt 50 ]
    missing=$((heap - $(bytes <<<"$json")))
    check "JIT $mode: all bytes but 1000 are found ($missing are not)" [ "${missing#-}" -lt 1000 ]
    check "JIT $mode: nothing is inconsistent, and that is said" same "$(printf '0\nfalse\nfalse\nfalse\ntrue')" \
        "$(valid_json 1.inconsistent 1.lists_broken 1.overlaps 1.stack_unknown 1.still <<<"$json")"
    held=$(valid_json $(printf '1.types.%s.held_bytes ' "${types[@]}") <<<"$json" | awk '{ n += $1 } END { print n }')
    lost=$(($(bytes <<<"$json") - $(valid_json 1.vm_bytes <<<"$json") - held))
    check "JIT $mode: but what the program has thrown away since, all is held ($lost bytes are not)" [ "$lost" -lt 100 ]

    # ---- Ways ----

    output=$(gc -n 9 -w 1 -t table "$pid")
    check "JIT $mode: the biggest tables first, and what holds them" same "$(sed "s,HERE,$here,g; s/chainNEXT/chain$(printf '.next%.0s' {1..22})/; s/NEXT/$(printf '.next%.0s' {1..22})/" <<'END'
_G.a.b.c.biggest
_G.handler (upvalue cache, HERE/heap.lua:43)
main thread (local keep, HERE/heap.lua:65).workers[1][1] (local buffer, HERE/heap.lua:46)
main thread (local keep, HERE/heap.lua:65) (metatable).__index
main thread (local keep, HERE/heap.lua:65).objects
package.loaded["my module"]["odd key"]
_G.chainNEXT ... 954 more ... NEXT.next.deep
_G.registered (metatable).__index
_G
END
)" "$(awk '/ table 0x/ { getline; sub(/^ */, ""); print }' <<<"$output")"
    output=$(gc -n 1 -t string "$pid")
    check "JIT $mode: the biggest string" eval 'contains "$output" "400.0 kB  string 0x" && contains "$output" _G.text.long'
    output=$(gc -n 3 -t table --held "$pid")
    check "JIT $mode: the tables that hold most" same "$(printf '%s\n' _G _G.a _G.a.b)" \
        "$(awk '/ table 0x/ { getline; sub(/^ */, ""); print }' <<<"$output")"
    output=$(gc -n 1 -t table "$pid")
    check "JIT $mode: --stop finds the same" same "$(sed 1d <<<"$output")" "$(gc --stop -n 1 -t table "$pid" | sed 1d)"
    check "JIT $mode: a core can be made" "$LJINSPECT_BUILD/tests/make_core" "$pid" "$work/core"
    check "JIT $mode: and says the same" same "$(sed 1d <<<"$output")" "$(gc -n 1 -t table --core="$work/core" | sed 1d)"
    stop "$pid"
done

# ---- Ways of other kinds ----

start luajit -e '
local hidden = {}
for i = 1, 5000 do hidden[i] = {} end
local key = {("k"):rep(1000)}
local env = setfenv(function() end, {inside = ("e"):rep(2000)})
local b = require("string.buffer").new()
b:put(("b"):rep(3000))
keys = {[key] = true}
twice = {hidden, hidden, {hidden}}
print "." io.flush() io.read()'
wait_for . || exit 1
output=$(gc -n 3 "$pid")
check "more than one way" same "main thread (local hidden, (command line):10) _G.twice[1] _G.twice[2] and 1 more ways" \
    "$(grep -A 4 ' table 0x' <<<"$output" | sed -n 2,5p | xargs)"
check "a key" contains "$output" "(local key, (command line):10)[1]"
check "an environment" contains "$output" "(environment).inside"
output=$(gc -n 1 -t userdata "$pid")
check "a buffer, with what it has allocated" eval 'grep -q "^ *4\.2 kB  *[0-9.]* kB  userdata" <<<"$output" && contains "$output" "(local b, "'
stop "$pid"

# ---- Processes that change ----

start luajit "$here/busy.lua"
sleep 0.3
bad=0
for i in $(seq 20); do
    json=$(gc --stop --json -n 3 "$pid") || bad=$((bad + 1))
    same "$(printf '0\nfalse\nfalse\ntrue')" "$(valid_json 1.inconsistent 1.lists_broken 1.overlaps 1.still <<<"$json")" || bad=$((bad + 1))
    missing=$(($(valid_json 1.heap_bytes <<<"$json") - $(bytes <<<"$json")))
    [ "${missing#-}" -lt 4000 ] || { bad=$((bad + 1)) && echo "# $missing bytes"; }
done
check "--stop: never inconsistent" same 0 "$bad"
bad=0
for i in $(seq 30); do gc -n 3 "$pid" >"$work/busy" 2>&1 || bad=$((bad + 1)); done
check "without it all ends well" same 0 "$bad"
check "and says so" grep -q "it ran while it was read" "$work/busy"
stop "$pid"

code='local n = 0 for i = 1, 3e8 do n = n + i % 7 end print(n) local t = {} for i = 1, 2e6 do t[i % 1000] = {i} end print(t[5][1]) print "."'
expected=$(luajit -e "$code")
start luajit -e "$code"
for i in $(seq 40); do gc --stop -n 1 "$pid" >/dev/null 2>&1; done
check "a program that was held ends as if nothing had been" eval 'wait_for . && same "$expected" "$(cat "$work/out")"'

# As large as it takes to be held for a while.
start luajit -e 'local t = {} for i = 1, 1e6 do t[i] = {} end print "." io.flush() while true do end'
wait_for . || exit 1
check "its time is said" eval 'status 0 "$ljinspect" gc --stop -n 0 "$pid" && grep -qE "held for [0-9]+\.[0-9] ms" <<<"$output"'
for i in 1 2 3; do
    "$ljinspect" gc --stop -n 0 "$pid" >/dev/null 2>&1 &
    tool=$!
    sleep 0.0$((4 * i))
    kill -KILL $tool 2>/dev/null
    wait $tool 2>/dev/null
done
state() { sed 's/.*) //; s/ .*//' "/proc/$pid/stat"; }
check "a tool that is killed lets it go" same R "$(sleep 0.2; state)"
kill -STOP "$pid"
check "a stopped process is read" status 0 "$ljinspect" gc --stop -n 0 "$pid"
check "and stays stopped" same T "$(sleep 0.1; state)"
kill -CONT "$pid"
"$ljinspect" gc --stop -n 0 "$pid" >/dev/null 2>&1 &
tool=$!
kill -TERM "$pid"
wait "$pid"
check "a signal that comes meanwhile arrives" same 143 $?
wait $tool

start "$LJINSPECT_BUILD/tests/cli_host"
wait_for . || exit 1
check "several VMs, each in a thread of its own" same "$(printf '5\n0\n0\ntrue')" \
    "$(gc --stop --json -n 2 "$pid" | valid_json \# 1.inconsistent 5.inconsistent 5.still)"
stop "$pid"

# ---- Statuses ----

start sleep 100
check "no LuaJIT in it" status 5 "$ljinspect" gc "$pid"
stop "$pid"
check "no such process" status 3 "$ljinspect" gc 4194303
for wrong in "" abc "1 2" "-n x 1" "-w 0 1" "-t thing 1" "--core=x 1" "--core=x --stop" --wrong; do
    # shellcheck disable=SC2086
    check "wrong: $wrong" status 2 "$ljinspect" gc $wrong
done
check "help shows an example" eval 'status 0 "$ljinspect" gc --help && contains "$output" Example:'
finished
