#!/bin/bash
# ljinspect stack --core: the stack of a process that is no more; and cores that are damaged.
. "$(dirname "$0")/lib.sh"

frames() { # arguments of ljinspect stack
    "$ljinspect" stack "$@" 2>&1 | grep '^        ' | sed 's/^ *//; s/ \[trace.*//'
}

for how in wait spin; do
    start luajit "$here/stop.lua" "$here/stops/coroutine.lua" $how
    wait_for . || exit 1
    sleep 0.1
    live=$(frames "$pid")
    check "$how: a core can be made" "$LJINSPECT_BUILD/tests/make_core" "$pid" "$work/core.$how"
    stop "$pid"
    check "$how: a live stack was read" contains "$live" "in function 'deep'"
    check "$how: the core's stack is the live one" same "$live" "$(frames --core="$work/core.$how")"
    check "$how: all coroutines" contains "$("$ljinspect" stack -a --core="$work/core.$how")" "resumed by main thread"
done

head -c 100000 "$work/core.wait" >"$work/short"
check "a core that was cut short has no VM any more" status 5 "$ljinspect" stack --core="$work/short"
check "a file that is no core" status 1 "$ljinspect" stack --core="$0"
check "a core that is not there" status 1 "$ljinspect" stack --core="$work/none"
check "a name that is too long" status 1 "$ljinspect" stack --core="$(printf "%09000d" 0)"
check "is said, with the reason behind it" contains "$output" ": File name too long"
for how in wait spin; do
    check "damaged cores ($how)" "$LJINSPECT_BUILD/tests/fuzz_core" "$work/core.$how" "${LJINSPECT_FUZZ_ROUNDS:-300}" 1
done
finished
