#!/bin/bash
# What ljinspect record costs the program it looks at: record.sh [ROUNDS]. A busy program runs alone and is recorded in
# turn, with each backend at 99 and 999 Hz. Prints how much of its time it stood still, beyond what it does alone: for
# interrupts and in them, and for stops of less than 0.4 milliseconds (with more, others are taken to run). Also what the
# recorder says of itself. As root.
set -u
here=$(cd "$(dirname "$0")" && pwd)
ljinspect=${LJINSPECT_BUILD:-$here/../../build}/ljinspect
rounds=${1:-20}
work=$(mktemp -d)
luajit "$here/record.lua" >"$work/pieces" &
worker=$!
trap 'kill $worker; rm -rf "$work"' EXIT
now() { cut -d' ' -f1 /proc/uptime; } # the clock of the pieces
sleep 1

phase() { # NAME COMMAND...: what goes on meanwhile
    local name=$1 begin
    shift
    begin=$(now)
    "$@"
    echo "$name $begin $(now)" >>"$work/phases"
}
for _ in $(seq "$rounds"); do
    for backend in ebpf ptrace; do
        for hz in 99 999; do
            phase alone sleep 2.5
            phase "$backend.$hz" "$ljinspect" record -b "$backend" -F "$hz" -d 3 -o "$work/out" $worker 2>>"$work/said.$backend.$hz"
        done
    done
done
luajit "$here/record_cost.lua" "$work/phases" "$work/pieces"
for kind in ebpf.99 ebpf.999 ptrace.99 ptrace.999; do
    echo "$kind: $(grep -E "samples;" "$work/said.$kind" | tail -n 1)$(grep -E "a sample stopped" "$work/said.$kind" | tail -n 1 | sed 's/^ljinspect:/;/')"
done
