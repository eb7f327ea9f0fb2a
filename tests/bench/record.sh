#!/bin/bash
# What ljinspect record costs the program it looks at: record.sh [ROUNDS]. The same work, alone and recorded in turn;
# prints medians of its time by the clock, and what the recorder says of its stops.
set -u
here=$(cd "$(dirname "$0")" && pwd)
ljinspect=${LJINSPECT_BUILD:-$here/../../build}/ljinspect
rounds=${1:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # HZ, or 0: seconds of a run
    local begin end recorder=
    begin=$(date +%s.%N)
    luajit "$here/record.lua" &
    local pid=$!
    sleep 0.2 # it has its VM
    if [ "$1" != 0 ]; then
        "$ljinspect" record -F "$1" -o "$work/out" $pid 2>>"$work/said.$1" &
        recorder=$!
    fi
    wait $pid
    end=$(date +%s.%N)
    [ -z "$recorder" ] || wait $recorder
    echo "$end - $begin" | bc
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for i in $(seq "$rounds"); do
    for hz in 0 99 0 999; do run $hz >>"$work/$hz"; done
done
alone=$(median "$work/0")
echo "alone: $alone s (median of $((2 * rounds)))"
for hz in 99 999; do
    echo "recorded at $hz Hz: $(median "$work/$hz") s, ratio $(echo "scale=4; $(median "$work/$hz") / $alone" | bc)"
    sed -n 's/.*a sample stopped/  a sample stopped/p' "$work/said.$hz" | tail -n 1
done
