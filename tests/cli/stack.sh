#!/bin/bash
# ljinspect stack shows what debug.traceback() says inside the process at the same place.
. "$(dirname "$0")/lib.sh"

# The frames of the first stack, without those of the function that stopped and what it called.
frames() {
    "$ljinspect" stack "$pid" 2>&1 | sed -n '/^    [a-z]/,$p' |
        awk '/^    [^ ]/ { if (++n > 1) exit } /^        / { sub(/^        /, ""); print }' |
        sed 's/ \[trace.*//' | awk 'seen { print } /stop\.lua:[0-9]*: in function / { seen = 1 }'
}

for how in wait spin; do
    for mode in on off; do
        for program in "$here"/stops/*.lua; do
            start luajit -j$mode "$here/stop.lua" "$program" $how
            wait_for . || { failures=$((failures + 1)) && continue; }
            [ $how = wait ] || sleep 0.05
            expected=$(sed '1d;/^\.$/d;s/^\t//' "$work/out")
            check "$(basename "$program" .lua), $how, JIT $mode" same "$expected" "$(frames)"
            stop "$pid"
        done
    done
done
finished
