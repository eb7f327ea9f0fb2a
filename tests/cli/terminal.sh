#!/bin/bash
# ljinspect on a terminal and elsewhere: progress is shown on terminals only, in one line that fits them, and not where TERM says that a
# line cannot be written anew; there are no colours anywhere.
. "$(dirname "$0")/lib.sh"

esc=$(printf '\033')
start luajit "$here/busy.lua"
sleep 0.5

# on_terminal COLUMNS COMMAND: what it prints on one
on_terminal() {
    script -qec "stty cols $1; $2" /dev/null </dev/null
}
record="$ljinspect record -b ptrace -d 1 -o $work/p.folded $pid"

for columns in 20 40 200; do
    TERM=xterm on_terminal $columns "$record" | tr '\r' '\n' | grep "$esc\[K" | sed "s/$esc\[K.*//" >"$work/shown"
    check "progress is shown on a terminal of $columns columns" grep -q '^[0-9]* s: [0-9]* samp' "$work/shown"
    check "and fits it" [ "$(awk '{ if (length > most) most = length } END { print most }' "$work/shown")" -lt $columns ]
done
check "all of it where there is room" grep -q 'in Lua [0-9]* % of the time$' "$work/shown"

for term in dumb ''; do
    output=$(TERM=$term on_terminal 80 "$record")
    check "TERM='$term': it records" contains "$output" "samples; "
    check "and shows no progress" eval "! grep -q '$esc' <<<\"\$output\""
done

for command in "$record" "$ljinspect gc $pid" "$ljinspect traces $pid" "$ljinspect stack $pid" "$ljinspect ps $pid" \
    "$ljinspect report $work/p.folded" "$ljinspect gc --help"; do
    what=$(sed "s#$ljinspect ##; s# .*##" <<<"$command")
    output=$($command 2>&1)
    check "$what, not on a terminal: plain text" eval "[ -n \"\$output\" ] && ! grep -q '$esc\|'\$'\r' <<<\"\$output\""
    output=$(TERM=xterm on_terminal 80 "$command")
    check "$what on a terminal: no colours" eval "[ -n \"\$output\" ] && ! grep -q '$esc\[[0-9;]*m' <<<\"\$output\""
done

finished
