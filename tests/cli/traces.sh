#!/bin/bash
# ljinspect traces says what LuaJIT tells of its traces inside the process, and of recordings that were aborted.
. "$(dirname "$0")/lib.sh"

traces() { "$ljinspect" traces "$@"; }
# One line for each trace, as traces.lua prints them.
lines_of() {
    grep -o '{"trace": .*}' | sed -E 's/.*"trace": ([0-9]+), "root": ([0-9]+).*"link": "([^"]*)", "to": ([0-9]+), "ir": ([0-9]+), "constants": ([0-9]+).*"exits": \[([^]]*)\].*/\1 \3 \4 \5 \6 \7/' |
        awk '{ print "trace", $1, $2, $3, $4, $5, $6 == "" ? 0 : split($6, exits, ",") }'
}

for mode in "" "-Ohotloop=5 -Ohotexit=2"; do
    # shellcheck disable=SC2086
    start luajit $mode "$here/traces.lua"
    wait_for . || exit 1
    json=$(traces --json "$pid")
    check "JSON is JSON $mode" eval 'valid_json <<<"$json"'
    inside=$(grep ^trace "$work/out" | tr '\t' ' ')
    outside=$(lines_of <<<"$json")
    check "some traces were made $mode" [ "$(wc -l <<<"$inside")" -gt 3 ]
    # What LuaJIT counts as an exit includes the end of a trace that is no loop.
    check "all that LuaJIT tells of its traces $mode" same "$inside" \
        "$(awk '$3 != "loop" || $7 < loops[$2] { $7++ } { print }' <<<"$outside")"
    check "the loop is a root, the other way a side trace of it $mode" eval \
        'grep -q "\"root\": 0, \"at\": \"[^\"]*traces.lua:19\"" <<<"$json" && grep -q "\"root\": [1-9][0-9]*, \"at\": \"[^\"]*traces.lua:20\"" <<<"$json"'
    stop "$pid"
done

# ---- What is not compiled ----

for loaded in "" vmdef; do
    start luajit "$here/traces.lua" $loaded
    wait_for . || exit 1
    json=$(traces --json "$pid")
    # What stands in a section of a line of the program: what, and the reason.
    reason() { # SECTION LINE
        sed -n "/^ *\"$1\": \[/,/\]/p" <<<"$json" |
            sed -n "s/.*\"at\": \"[^\"]*traces\.lua:$2\".* \"what\": \"\([a-z]*\)\", \"reason\": \([0-9]*\),.*/\1 \2/p"
    }
    # Recordings of others may have failed, too: how often is a matter of chance.
    for expected in "given_up 27" "given_up 33" "failed 41"; do
        read -r section line <<<"$expected"
        check "$section: the loop of line $line, and the reason is the one that LuaJIT gave $loaded" same \
            "loop $(sed -n "s/^reason\t$line\t//p" "$work/out")" "$(reason "$section" "$line")"
    done
    check "what is compiled is not there $loaded" same "" "$(reason given_up 19)$(reason failed 19)"
    check "what is switched off $loaded" eval 'valid_json 1.off.1.at <<<"$json" | grep -q "traces.lua:14$"'
    check "the reason in words $loaded" same "NYI: bytecode" "$(valid_json 1.given_up.1.text <<<"$json")"
    from=$(valid_json 1.reasons_from <<<"$json")
    case $loaded in
    vmdef) check "as the VM has it" contains "$from" "the VM has loaded" ;;
    *) check "as the VM would find it" eval '[ -e "$from" ] && contains "$from" jit/vmdef.lua' ;;
    esac
    output=$(traces "$pid")
    check "a page for people $loaded" eval 'contains "$output" "Given up" && contains "$output" "traces.lua:27, loop in function <"'
    check "--stop says the same $loaded" same "$(sed 1d <<<"$output")" "$(traces --stop "$pid" | sed 1d)"
    check "a core can be made $loaded" "$LJINSPECT_BUILD/tests/make_core" "$pid" "$work/core"
    check "and says the same $loaded" same "$(sed '1d;/Reasons\|What the numbers/d;s/>: .*/>/' <<<"$output")" \
        "$(traces --core="$work/core" | sed '1d;/Reasons\|What the numbers/d;s/>: .*/>/')"
    stop "$pid"
done

# A jit.vmdef of another build is not believed: it has other instructions.
mkdir -p "$work/other/jit"
vmdef=$(luajit -e 'print(package.searchpath("jit.vmdef", package.path))')
sed 's/ISLT  ISGE  /ISLT  /' "$vmdef" >"$work/other/jit/vmdef.lua"
LUA_PATH="$work/other/?.lua" start luajit "$here/traces.lua"
wait_for . || exit 1
output=$(traces "$pid")
check "no words where the build's are not known" eval 'contains "$output" ": reason 7" && contains "$output" "What the numbers of reasons mean"'
stop "$pid"

# ---- Others ----

start luajit -joff -e 'local s = 0 for i = 1, 1e5 do s = s + i end print "." io.flush() io.read()'
wait_for . || exit 1
check "no JIT, no traces" eval 'status 0 "$ljinspect" traces "$pid" && contains "$output" "JIT off" && contains "$output" "no traces"'
stop "$pid"
start luajit "$here/busy.lua"
sleep 0.3
bad=0
for i in $(seq 20); do traces "$pid" >"$work/busy" 2>&1 || bad=$((bad + 1)); done
check "a process that changes" same 0 "$bad"
stop "$pid"
start sleep 100
check "no LuaJIT in it" status 5 "$ljinspect" traces "$pid"
stop "$pid"
check "no such process" status 3 "$ljinspect" traces 4194303
for wrong in "" abc "1 2" "--core=x 1" --wrong; do
    # shellcheck disable=SC2086
    check "wrong: $wrong" status 2 "$ljinspect" traces $wrong
done
check "help shows an example" eval 'status 0 "$ljinspect" traces --help && contains "$output" Example:'
finished
