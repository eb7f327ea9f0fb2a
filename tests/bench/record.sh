#!/bin/bash
# What ljinspect record costs the program it looks at: record.sh [ROUNDS]. The same work goes on and on, two seconds alone
# and two seconds recorded in turn, with each backend at 99 and 999 Hz. Prints how much longer a piece of it takes, by the
# clock and of the processor, and what the recorder says of itself. As root.
#
# Of the pieces alone and of those recorded the quickest tenth is compared: whatever else a machine has to do makes pieces
# slower, but what recording costs is in each. The processor's time does not have that for which ptrace stops a thread.
set -u
here=$(cd "$(dirname "$0")" && pwd)
ljinspect=${LJINSPECT_BUILD:-$here/../../build}/ljinspect
rounds=${1:-30}
work=$(mktemp -d)
luajit "$here/record.lua" >"$work/pieces" &
worker=$!
trap 'kill $worker; rm -rf "$work"' EXIT
now() { cut -d' ' -f1 /proc/uptime; } # the clock of the pieces
sleep 1

phase() { # NAME COMMAND...: what goes on meanwhile; its first and last 0.3 seconds do not count
    local name=$1 begin
    shift
    begin=$(now)
    "$@"
    echo "$name $begin $(now)" >>"$work/phases"
}
for _ in $(seq "$rounds"); do
    for backend in ebpf ptrace; do
        for hz in 99 999; do
            phase alone sleep 2
            phase "$backend.$hz" "$ljinspect" record -b "$backend" -F "$hz" -d 2 -o "$work/out" $worker 2>>"$work/said.$backend.$hz"
        done
    done
done

awk -v phases="$work/phases" '
    function quick(list, n,    i, k) { # mean of the quickest tenth
        n = asort(list); k = int(n / 10) + 1; s = 0
        for (i = 1; i <= k; i++) s += list[i]
        return s / k
    }
    BEGIN { while ((getline line < phases) > 0) { split(line, f, " "); name[++n] = f[1]; from[n] = f[2] + 0.3; to[n] = f[3] - 0.3 } p = 1 }
    {
        while (p < n && $1 - $2 > to[p]) p++
        if ($1 - $2 < from[p] || $1 > to[p]) next
        k = name[p]; i = ++count[k]; clock[k][i] = $2; cpu[k][i] = $3
    }
    END {
        c = quick(clock["alone"]); u = quick(cpu["alone"])
        printf "alone: a piece takes %.2f ms, %.2f of the processor (%d pieces)\n", 1000 * c, 1000 * u, count["alone"]
        split("ebpf.99 ebpf.999 ptrace.99 ptrace.999", order, " ")
        for (i = 1; i <= 4; i++)
            printf "%s Hz: %+.2f %% by the clock, %+.2f %% of the processor (%d pieces)\n", order[i], 100 * (quick(clock[order[i]]) / c - 1), 100 * (quick(cpu[order[i]]) / u - 1), count[order[i]]
    }' "$work/pieces"
for kind in ebpf.99 ebpf.999 ptrace.99 ptrace.999; do
    echo "$kind: $(grep -E "samples;" "$work/said.$kind" | tail -n 1)$(grep -E "a sample stopped" "$work/said.$kind" | tail -n 1 | sed 's/^ljinspect:/;/')"
done
