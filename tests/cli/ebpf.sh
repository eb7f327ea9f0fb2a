#!/bin/bash
# What ljinspect record does through eBPF and could not otherwise, and what it says where it may not.
. "$(dirname "$0")/lib.sh"

# Where the interpreter is between two instructions of the bytecode, its machine code is followed to the next one.
for options in -joff "-jon -Ohotloop=2 -Ohotexit=2"; do
    # shellcheck disable=SC2086
    start luajit $options "$here/known.lua"
    sleep 0.2
    check "what is followed is what the processor does (luajit $options)" "$LJINSPECT_BUILD/tests/follow_code" "$pid" 1000
    stop "$pid"
done

needs_ebpf

record() { "$ljinspect" record -F 500 "$@" >"$work/said" 2>&1; }
total() { awk '{ n += $NF } END { print n + 0 }' "$1"; }

# ---- Nothing is stopped ----

start luajit "$here/shares.lua"
sleep 0.2
check "it is what is taken where it may" record -d 1 -o "$work/auto.folded" "$pid"
check "and it says so" contains "$(cat "$work/said")" "with eBPF: nothing is stopped"
# A debugger keeps others from stopping a thread.
debug "$pid"
check "a process that a debugger has cannot be stopped" status 4 "$ljinspect" record -b ptrace -d 1 -o "$work/none" "$pid"
check "but recorded" record -b ebpf -d 1 -o "$work/debugged.folded" "$pid"
check "with all it does" contains "$(cat "$work/debugged.folded")" "two@"
stop "$debugger"

# ---- Lost samples are counted ----

stop "$pid"
start luajit -joff -e 'local function deep(n) if n == 0 then while true do end end local a, b, c, d, e, f = n deep(n - 1) return a end deep(1500)'
sleep 0.2
"$ljinspect" record -b ebpf -F 1000 -o "$work/lost.folded" "$pid" 2>"$work/said" &
recorder=$!
started+=("$recorder")
sleep 1
kill -STOP $recorder
sleep 4
kill -CONT $recorder
sleep 0.5
kill -INT $recorder
wait $recorder
check "a recorder that cannot keep up loses samples" eval 'lost=$(sed -n "s/.*; \([0-9]*\) lost$/\1/p" "$work/said") && [ "$lost" -gt 0 ] || ! cat "$work/said"'
check "what it has is right" eval '[ "$(total "$work/lost.folded")" -gt 100 ] && ! grep -v "(deeper);.*;deep@" "$work/lost.folded"'
stop "$pid"

# ---- Threads that come and go ----

start "$LJINSPECT_BUILD/tests/cli_pass_on"
wait_for . || exit 1
check "threads that come and go" record -b ebpf -d 4 -o "$work/threads.folded" "$pid"
stays=$(total <(grep stays "$work/threads.folded")) passes=$(total <(grep passes "$work/threads.folded"))
echo "# $stays samples of the VM that stays in its thread, $passes of the one that is passed on"
# How much of the processors each gets is the kernel's business, and that of what else runs.
check "have their share" [ $((stays + passes)) -gt 100 -a $stays -lt $((4 * passes)) -a $passes -lt $((4 * stays)) ]
check "which is all there is" same "$((stays + passes))" "$(total "$work/threads.folded")"
stop "$pid"

# ---- Another namespace of processes, as containers have ----

if unshare --pid --fork true 2>/dev/null; then
    start unshare --pid --fork luajit "$here/shares.lua"
    sleep 0.5
    inside=$(pgrep -P "$pid")
    started+=("$inside")
    check "a process in a namespace of its own" record -b ebpf -d 1 -o "$work/inside.folded" "$inside"
    check "is found by its number outside" contains "$(cat "$work/inside.folded")" "two@"
    stop "$inside"
else
    echo "SKIPPED in part: no namespace of processes can be made here"
fi

# ---- Where it may not ----

scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null && [ "$scope" -eq 0 ] && [ "$(cat /proc/sys/kernel/unprivileged_bpf_disabled)" -ne 0 ]; then
    other() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
    cp "$ljinspect" "$here/shares.lua" "$work/"
    mkdir -m 777 "$work/open"
    chmod 755 "$work" "$work/ljinspect" && chmod 644 "$work/shares.lua"
    start setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all luajit "$work/shares.lua"
    sleep 0.5
    check "without the right to it" status 4 other "$work/ljinspect" record -b ebpf -d 0.5 -o "$work/open/a" "$pid"
    check "it says what to grant" contains "$output" "CAP_BPF and CAP_PERFMON"
    check "by itself it takes ptrace" status 0 other "$work/ljinspect" record -d 0.5 -o "$work/open/b" "$pid"
    check "and says why" eval 'contains "$output" "with ptrace" && contains "$output" "not eBPF: the kernel does not load the eBPF program"'
    stop "$pid"
else
    echo "SKIPPED in part: without root and setpriv, with yama, or where all may use eBPF, there is nobody who may not"
fi
finished
