#!/bin/bash
# ljinspect ps and stack: what they say of processes that have LuaJIT, have none, are gone, or may not be read.
. "$(dirname "$0")/lib.sh"

check "no command" status 2 "$ljinspect"
check "an unknown command" status 2 "$ljinspect" gdb
check "help" status 0 "$ljinspect" --help
for command in ps stack; do
    check "$command --help shows an example" eval "status 0 \"$ljinspect\" $command --help && contains \"\$output\" Example:"
    check "$command: a wrong option" status 2 "$ljinspect" $command --wrong
    check "$command: no process id" status 2 "$ljinspect" $command abc
    check "$command: no such process" status 3 "$ljinspect" $command 4194303
done
check "stack: of what?" status 2 "$ljinspect" stack
check "stack: too many" status 2 "$ljinspect" stack 1 2
check "stack: a process and a core" status 2 "$ljinspect" stack --core=x 1

start sleep 100
check "stack: no LuaJIT in it" status 5 "$ljinspect" stack "$pid"
check "ps: no LuaJIT in it" status 5 "$ljinspect" ps "$pid"
stop "$pid"

start luajit -e 'local s = {} for i = 1, 1000 do s[i] = ("x"):rep(i) end print "." io.flush() io.read()'
wait_for . || exit 1
check "ps of one" eval 'status 0 "$ljinspect" ps "$pid" && contains "$output" "LuaJIT 2.1"'
check "ps of all" eval 'status 0 "$ljinspect" ps && contains "$output" "luajit -e local s"'
heap=$("$ljinspect" ps --json "$pid" | valid_json 1.heap_bytes 1.vms 1.pid 1.vms_with_jit_on)
check "ps --json" same "$pid" "$(sed -n 3p <<<"$heap")"
check "the heap holds the strings" [ "$(head -n 1 <<<"$heap")" -gt 500000 ]
for command in "ps $pid" "stack $pid" --help; do
    check "$command, printed to a full device, is a failure" eval '! "$ljinspect" $command >/dev/full 2>"$work/said" && grep -q "No space" "$work/said"'
done
check "a waiting process is not stopped" eval 'status 0 "$ljinspect" stack "$pid"; [ "${output/stopped for/}" = "$output" ]'
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    other() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
    cp "$ljinspect" "$work/ljinspect"
    chmod 755 "$work" "$work/ljinspect"
    check "no permission" status 4 other "$work/ljinspect" stack "$pid"
    check "and what to grant" contains "$output" CAP_SYS_PTRACE
else
    echo "SKIPPED in part: without root and setpriv there is no other user's process"
fi
stop "$pid"

# Control characters of a hostile process do not reach the terminal.
start luajit -e 'local f = loadstring("local w = ... w() return 1", "@\27]0;evil\7\155") local _ = f(function() print "." io.flush() io.read() end) return _'
wait_for . || exit 1
check "no escape sequences" eval 'status 0 "$ljinspect" stack "$pid" && contains "$output" "?]0;evil??" && ! grep -q "[[:cntrl:]]" <<<"${output//$'"'\\n'"'/}"'
check "nor in JSON" eval '"$ljinspect" stack --json -l "$pid" | valid_json 1.vm >/dev/null'
stop "$pid"

# Coroutines.
start luajit -e '
local function body(name) local kept = name .. "!" coroutine.yield(kept) return kept end
local a, b, c = coroutine.create(body), coroutine.create(body), coroutine.create(body)
coroutine.resume(a, "one") coroutine.resume(b, "two")
local d = coroutine.create(error) coroutine.resume(d, "x")
print "." io.flush() io.read()'
wait_for . || exit 1
output=$("$ljinspect" stack --all --locals "$pid" 2>&1)
check "suspended coroutines" same 2 "$(grep -c '^    coroutine .* (suspended):' <<<"$output")"
check "with their functions" same 2 "$(grep -c "in function 'yield'" <<<"$output")"
check "and their locals" contains "$output" 'kept = "two!"'
check "one that has not begun" contains "$output" "(not started):"
check "one that failed" contains "$output" "(dead, of an error):"
json=$("$ljinspect" stack --all --locals --json "$pid" | valid_json 1.stacks.# 1.stacks.1.status 1.stacks.1.frames.1.name)
check "JSON has them all" same "$(printf '5\nrunning\nread')" "$json"
stop "$pid"

# Address space that a process has reserved and hardly touched is not made real by looking at it: page tables stay small.
start luajit -e '
local ffi = require "ffi"
ffi.cdef "void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);"
for at = 1, 3 do -- 8 GB each, apart from each other; in two of them something was written
    local m = ffi.cast("uint8_t *", ffi.C.mmap(ffi.cast("void *", at * 0x1000000000ULL), 0x200000000ULL, 3, 0x4022, -1, 0))
    if at > 1 then m[4096 * at] = 1 end
end
print "." io.flush() io.read()'
wait_for . || exit 1
check "reserved memory is searched" status 0 timeout 20 "$ljinspect" ps "$pid"
tables=$(sed -n 's/^VmPTE:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
check "and stays untouched ($tables kB of page tables)" [ "$tables" -lt 2000 ]
stop "$pid"

# A process that ends while it is looked at, again and again.
odd=0
for i in $(seq 60); do
    timeout 0.0$((i % 9 + 1)) luajit "$here/busy.lua" &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        "$ljinspect" stack -a $pid >/dev/null 2>"$work/err"
        case $? in 0 | 1 | 3 | 5) ;; *) odd=$((odd + 1)) && cat "$work/err" ;; esac
    done
done 2>/dev/null
check "processes that end meanwhile" same 0 "$odd"

# A process is as it was afterwards: what it computes and what it waits for is not disturbed.
code='local n = 0 for i = 1, 3e8 do n = n + i % 7 end print(n) local f = io.popen("sleep 1; echo x") print(f:read("*a")) print "."'
expected=$(luajit -e "$code")
start luajit -e "$code"
for i in $(seq 100); do "$ljinspect" stack "$pid" >/dev/null 2>&1; done
check "the program ends as if nothing had been" eval 'wait_for . && same "$expected" "$(cat "$work/out")"'
finished
