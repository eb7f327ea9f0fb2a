#!/bin/bash
# ljinspect on a program with a VM in each of its threads, LuaJIT a shared library.
. "$(dirname "$0")/lib.sh"

start "$LJINSPECT_BUILD/tests/cli_host"
wait_for . || exit 1
output=$("$ljinspect" stack "$pid" 2>&1)
said=$?
check "all VMs could be read" same 0 $said
check "there are five" same 5 "$(grep -c '^VM ' <<<"$output")"
check "ps says so, too" same 5 "$("$ljinspect" ps --json "$pid" | valid_json 1.vms)"

# The stack that has a line with this text, as one line.
stack_with() {
    awk -v wanted="$1" '/^VM / { if (index(all, wanted)) print all; all = "" }
        /^    [a-z]/ { all = all " | " $0 } /^        / { sub(/^ */, ""); all = all "; " $0 }
        END { if (index(all, wanted)) print all }' <<<"$output" | sed 's/0x[0-9a-f]*/0x/g; s/ \[trace[^;]*//g'
}
check "a loop" same " |     main thread:; thread1:1: in function 'loop'; thread1:2: in function 'spins'; thread1:3: in main chunk" \
    "$(stack_with "thread1:")"
check "a C function that waits" \
    same " |     main thread:; [C]: in function 'wait'; thread2:1: in function 'waits'; thread2:2: in main chunk" \
    "$(stack_with "thread2:")"
check "a coroutine that a C function resumed, and where from" \
    same " |     coroutine 0x:; [C]: in function 'wait'; thread3:1: in function <thread3:1> |     resumed by main thread:; [C]: in function 'resume'; thread3:2: in function 'outside'; thread3:3: in main chunk" \
    "$(stack_with "thread3:")"
check "a callback of the FFI" \
    same " |     main thread:; [C]: in function 'wait'; thread4:3: in function <thread4:3>; [C]: in function 'qsort'; thread4:5: in function 'sorts'; thread4:7: in main chunk" \
    "$(stack_with "thread4:")"
check "compiled code that waits in a C function" \
    same " |     main thread:; thread5:5: in function 'naps'; thread5:7: in main chunk" "$(stack_with "thread5:")"
check "and it is compiled" contains "$output" "thread5:5: in function 'naps' [trace "

check "a profile has the one that runs" "$ljinspect" record -d 1 -o "$work/host.folded" "$pid"
check "and only that" same "main@thread1;spins@thread1:2;loop@thread1:1;thread1:1" \
    "$(sed 's/ [0-9]*$//' "$work/host.folded" | sort -u)"
# As some emulators have it: what runs may be executed, and comes from a file for another kind of processor.
start "$LJINSPECT_BUILD/tests/cli_host"
wait_for . || exit 1
begin=$(awk '$6 ~ /\/libluajit[^/]*$/ && $3 == "00000000" { sub(/-.*/, "", $1); print $1; exit }' "/proc/$pid/maps")
if printf '\xf3\0' 2>/dev/null | dd of="/proc/$pid/mem" bs=1 seek=$((0x$begin + 18)) conv=notrunc status=none 2>/dev/null; then
    check "an emulated LuaJIT that may be executed is refused" status 6 "$ljinspect" stack "$pid"
    check "with the reason" contains "$output" "an emulator runs a LuaJIT there"
else
    echo "# the kernel does not let memory be written: not tried"
fi
finished
