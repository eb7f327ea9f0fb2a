#!/bin/bash
# What a process holds cannot send commands to the terminal that shows it, nor make up lines.
. "$(dirname "$0")/lib.sh"
lib=$here/../module/lib/clean.lua

echo 'local wrong = dofile((...)).wrong(io.read "*a") if wrong then print("# " .. wrong) os.exit(1) end' >"$work/clean.lua"
# clean NAME: whether $work/NAME is harmless; it must show something of the process.
clean() {
    grep -qaE "01-31 forged|edih" "$work/$1" || {
        echo "# $1 shows nothing of it" && head -c 1000 "$work/$1"
        return 1
    }
    luajit "$work/clean.lua" "$lib" <"$work/$1"
}
show() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >"$work/$name" 2>&1
}

hostile=$(echo 'io.write((dofile((...)).hostile:gsub("/", "")))' >"$work/name.lua" && luajit "$work/name.lua" "$lib")
cp "$here/forged.lua" "$work/$hostile.lua"
for how in "" wait; do
    # shellcheck disable=SC2086
    start luajit "$work/$hostile.lua" "$lib" $how
    wait_for . || exit 1
    for command in "stack -l" "stack -l --json" "gc -n 10" "gc -n 10 --json" "traces" "traces --json" ; do
        # shellcheck disable=SC2086
        show out-shown "$ljinspect" $command "$pid"
        check "$command${how:+, waiting}" clean out-shown
    done
    [ -n "$how" ] && break
    show ps "$ljinspect" ps
    check "ps" clean ps
    show ps "$ljinspect" ps --json
    check "ps --json" clean ps
    show record "$ljinspect" record -b ptrace -d 1 -F 200 -o "$work/$hostile.folded" -o "$work/r.html" -o "$work/r.json" "$pid"
    check "what record says" clean record
    cp "$work/$hostile.folded" "$work/r.folded"
    for name in r.folded r.html r.json; do check "$name" clean $name; done
    show report "$ljinspect" report "$work/r.folded"
    check "report" clean report
    # A profile that somebody else has written.
    { printf '%s' "$hostile" | tr -d '\r\n' && echo ';x 3'; } >"$work/written"
    show report "$ljinspect" report "$work/written"
    check "report of a profile that is hostile" clean report
    show error "$ljinspect" report "$work/no/$hostile"
    check "errors" clean error
    stop "$pid"
done
finished
