#!/bin/bash
# Core files of arm64 processes, which an emulator leaves behind, are read on any machine: stacks against debug.traceback(), the
# heap, traces. Where the command itself is not emulated: processes that the emulator's interface for debuggers stops at any
# instruction. arm64.sh LUAJIT: the emulated program.
. "$(dirname "$0")/lib.sh"
luajit=$1
if [ -n "${LJINSPECT_EMULATOR:-}" ]; then # the command is emulated, too
    command=$ljinspect
    ljinspect() { $LJINSPECT_EMULATOR "$command" "$@"; }
else
    ljinspect() { "$ljinspect" "$@"; }
fi
cd "$work" || exit 1

# start_emulated ARGUMENT...: as start; needs a core file of its own.
start_emulated() {
    ulimit -Sc unlimited
    start qemu-aarch64-static -L "$LJINSPECT_ARM64/root" -0 luajit "$luajit" "$@"
    ulimit -Sc 0
}

# end_with_core: what was started leaves $work/core.
end_with_core() {
    rm -f qemu_*.core core
    kill -ABRT "$pid"
    wait "$pid" 2>/dev/null
    rm -f core # the emulator's own
    started=("${started[@]/$pid/}")
    mv qemu_*.core core 2>"$work/moved" || { cat "$work/moved" && exit 1; }
}

# What follows the function that stopped, as stack.sh has it.
frames() {
    awk '/^    [^ ]/ { if (++n > 1) exit } /^        / { sub(/^        /, ""); print }' |
        sed 's/ \[trace.*//' | awk 'seen { print } /stop\.lua:[0-9]*: in function / { seen = 1 }'
}

# Where code is taken from what the core names, the program must be given: the core names no files.
programs=("$here"/stops/*.lua)
[ -z "${LJINSPECT_EMULATOR:-}" ] || programs=("$here"/stops/{coroutine,metamethods}.lua)
for how in spin wait; do
    for mode in on off; do
        [ $how.$mode != wait.off ] || continue
        for program in "${programs[@]}"; do
            for _ in 1 2 3 4 5; do # a core file is of one moment, in which a program that runs may be between two states
                start_emulated -j$mode "$here/stop.lua" "$program" $how
                wait_for . || exit 1
                [ $how = wait ] || sleep 0.2
                end_with_core
                output=$(ljinspect stack --core=core --exe="$luajit" 2>&1)
                [ $how = spin ] && [[ $output = *"no consistent stack"* ]] || break
            done
            check "$(basename "$program" .lua), $how, JIT $mode" same "$(sed '1d;/^\.$/d;s/^\t//' out)" "$(frames <<<"$output")"
        done
        [ $how = wait ] && check "what it does" contains "$output" "runs: a C function" ||
            check "what it does" contains "$output" "runs: $([ $mode = on ] && echo "compiled code, trace" || echo "interpreted code")"
    done
done

# ---- Damaged ----

start_emulated -joff "$here/stop.lua" "$here/stops/metamethods.lua" wait
wait_for . || exit 1
end_with_core
[ -n "${LJINSPECT_EMULATOR:-}" ] ||
    check "damaged cores" "$LJINSPECT_BUILD/tests/fuzz_core" core "${LJINSPECT_FUZZ_ROUNDS:-100}" 1 "$luajit"

# ---- At any instruction ----

# Of a program that the compiler works on all the time, more samples fall in between two states.
sampled() { # OPTION ROUNDS PERCENT
    rm -f socket
    start qemu-aarch64-static -g "$work/socket" -L "$LJINSPECT_ARM64/root" -0 luajit "$luajit" $1 "$here/known.lua"
    "$LJINSPECT_BUILD/tests/emulated" "$work/socket" "$pid" "$2" "$3" "$work/known.folded"
    local said=$?
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return $said
}
if [ -z "${LJINSPECT_EMULATOR:-}" ]; then
    for how in "-joff 600 2" "-jon 600 10"; do
        # shellcheck disable=SC2086
        check "samples, $how" sampled $how
        check "each of them can be" luajit "$here/known_check.lua" known.folded
    done
fi

# ---- The heap: all of it, as the program counts it ----

start_emulated "$here/heap.lua"
for line in objects ways; do
    echo $line >in
    answers=0
    for _ in $(seq 400); do
        [ "$(grep -cxF . out)" -gt "$([ $line = ways ] && echo 1 || echo 0)" ] && answers=1 && break
        sleep 0.05
    done
    [ $answers = 1 ] || { echo "# no answer" && exit 1; }
done
counted=$(tail -n 2 out | head -n 1)
end_with_core
ljinspect gc --json --core=core >json
types=(string upvalue thread prototype function trace cdata table userdata)
number() { grep -o "\"$1\": [0-9]*" json | head -n 1 | sed 's/.*: //'; }
bytes() { sed -n 's/.*"vm_bytes": \([0-9]*\).*/\1/p' json; for type in "${types[@]}"; do grep -o "\"$type\": {[^}]*}" json | grep -o '"bytes": [0-9]*' | sed 's/.*: //'; done; }
heap=$(number heap_bytes) found=$(bytes | awk '{ n += $1 } END { print n }')
missing=$((heap - found))
check "LuaJIT's own count is read ($heap, $counted)" [ $((heap - counted)) -ge 0 -a $((heap - counted)) -lt 50 ]
check "all bytes but 1000 are found ($missing are not)" [ "${missing#-}" -lt 1000 ]
check "nothing is inconsistent" same 0 "$(number inconsistent)"
output=$(ljinspect gc -n 9 -w 1 -t table --core=core)
check "the biggest table, and what holds it" same _G.a.b.c.biggest "$(awk '/ table 0x/ { getline; sub(/^ */, ""); print; exit }' <<<"$output")"
check "a table with an integer for a key" contains "$output" "(local keep, $here/heap.lua:65).workers[1][1] (local buffer, $here/heap.lua:46)"

# ---- Traces ----

start_emulated "$here/traces.lua"
wait_for . || exit 1
end_with_core
lines_of() {
    grep -o '{"trace": .*}' | sed -E 's/.*"trace": ([0-9]+), "root": ([0-9]+).*"link": "([^"]*)", "to": ([0-9]+), "ir": ([0-9]+), "constants": ([0-9]+).*"exits": \[([^]]*)\].*/\1 \3 \4 \5 \6 \7/' |
        awk '{ print "trace", $1, $2, $3, $4, $5, $6 == "" ? 0 : split($6, exits, ",") }'
}
inside=$(grep ^trace out | tr '\t' ' ')
json=$(ljinspect traces --json --core=core)
check "some traces were made" [ "$(wc -l <<<"$inside")" -gt 3 ]
check "all that LuaJIT tells of its traces" same "$inside" \
    "$(lines_of <<<"$json" | awk '$3 != "loop" || $7 < loops[$2] { $7++ } { print }')"
check "what is given up, and why" eval 'sed -n "/\"given_up\": \[/,/\]/p" <<<"$json" | grep -q "traces\.lua:27\".* \"what\": \"loop\", \"reason\": $(sed -n "s/^reason\t27\t//p" out),"'
finished
