#!/bin/bash
# A process that was made to keep its reader for ever: the reader gives up, and the process has not stood for long.
. "$(dirname "$0")/lib.sh"

start luajit "$here/hostile.lua"
wait_for . || exit 1
check "without locals its stack is shown" eval 'status 0 "$ljinspect" stack "$pid" && contains "$output" "hostile.lua"'
check "with them it is given up" status 1 timeout 20 "$ljinspect" stack -l "$pid"
check "with a message" contains "$output" "no consistent stack"
check "its heap is shown" status 0 timeout 60 "$ljinspect" gc --stop -n 3 "$pid"
check "and its traces" status 0 timeout 60 "$ljinspect" traces "$pid"
check "the process runs" [ "$(sed 's/.*) //' "/proc/$pid/stat" | cut -c 1)" = R ]
finished
