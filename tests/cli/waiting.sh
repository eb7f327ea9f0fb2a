#!/bin/bash
# ljinspect record --off-cpu: where a program waits, which is not stopped for it.
. "$(dirname "$0")/lib.sh"

start luajit -joff "$here/waits.lua"
sleep 0.2
# A debugger keeps others from stopping a thread.
debug "$pid"
check "waiting is recorded, nothing is stopped" "$ljinspect" record --off-cpu -F 500 -d $((6 * slow)) -o "$work/waits.folded" "$pid"
total=$(awk '{ n += $NF } END { print n + 0 }' "$work/waits.folded")
in_function() { awk -v name="$1" 'index($0, name) { n += $NF } END { print n + 0 }' "$work/waits.folded"; }
naps=$(in_function "naps@") rests=$(in_function "rests@") computes=$(in_function "computes@")
echo "# of $total samples $naps in naps, $rests in rests, $computes in computes"
check "there are enough" [ "$total" -gt 300 ]
check "a third in one" [ $((1000 * naps / total)) -gt 293 -a $((1000 * naps / total)) -lt 373 ]
check "two thirds in the other" [ $((1000 * rests / total)) -gt 627 -a $((1000 * rests / total)) -lt 707 ]
check "none where it computes" same 0 "$computes"
check "the C function is shown" contains "$(cat "$work/waits.folded")" ";[C] usleep "
stop "$debugger"
stop "$pid"

start luajit -e 'print "." io.flush() while true do end'
wait_for . || exit 1
check "nothing waits: no profile" status 1 "$ljinspect" record --off-cpu -d 0.3 -o "$work/none" "$pid"
check "and it says so" contains "$output" "no Lua code waited"
check "it has no backends" status 2 "$ljinspect" record --off-cpu -b ebpf "$pid"
finished
