#!/bin/bash
# ljinspect record: no stack that cannot be, shares of time that are true, files that others can read. record.sh [BACKEND]
. "$(dirname "$0")/lib.sh"

backend=${1:-ptrace}
[ "$backend" = ptrace ] || needs_ebpf

record() { "$ljinspect" record -b "$backend" "$@" 2>"$work/said"; }
said_inconsistent() { sed -n 's/.*samples; \([0-9]*\) inconsistent.*/\1/p' "$work/said"; }
reports() { # FILE LABEL: its total, in samples
    "$ljinspect" report --json -n 1000 "$1" | tr '{' '\n' | sed -n "s/^\"name\": \"$2\", \"self\": [0-9]*, \"total\": \([0-9]*\)}.*/\1/p"
}

# ---- Stacks of a program whose every possible stack is known ----

# On a machine that is busy with other things samples are few: go on until there are enough.
for options in -joff -jon "-jon -Ohotloop=2 -Ohotexit=2"; do
    # shellcheck disable=SC2086
    start luajit $options "$here/known.lua"
    sleep 0.2
    files=() samples=0 inconsistent=0
    for i in $(seq 10); do
        record -F 1000 -d 3 -o "$work/known.$i.folded" "$pid" || break
        files+=("$work/known.$i.folded")
        samples=$((samples + $(awk '{ n += $NF } END { print n }' "$work/known.$i.folded")))
        inconsistent=$((inconsistent + $(said_inconsistent)))
        [ "$samples" -lt 2500 ] || break
    done
    check "each of $samples stacks of luajit $options can be" luajit "$here/known_check.lua" "${files[@]}"
    check "99 of 100 are whole ($inconsistent inconsistent)" [ $((100 * inconsistent)) -le $((samples + inconsistent)) ]
    stop "$pid"
done

# ---- Shares ----

start luajit "$here/shares.lua"
sleep 0.2
check "shares are recorded" record -F 700 -d 8 -o "$work/shares.folded" -o "$work/shares.json" -o "$work/shares.html" "$pid"
total=$(awk '{ n += $NF } END { print n }' "$work/shares.folded")
share() { # name expected
    local found
    found=$(reports "$work/shares.folded" "$1@shares.lua:$2")
    found=$((1000 * ${found:-0} / total))
    echo "# $1: $found of 1000, $3 expected"
    [ $((found - $3)) -le 30 ] && [ $(($3 - found)) -le 30 ]
}
sed -i "s,$here/,,g" "$work/shares.folded"
check "20 % in one" share one 11 200
check "50 % in two" share two 19 500
check "20 % in a coroutine" share three 27 200
check "10 % in a function that was inlined" share spin 5 100

check "speedscope's file is JSON" eval 'paths=$(valid_json \$schema shared.frames.1.name profiles.1.type <"$work/shares.json")'
check "and of its format" contains "$paths" "https://www.speedscope.app/file-format-schema.json"
check "as many weights as samples" eval 'same 2 "$(valid_json profiles.1.samples.# profiles.1.weights.# <"$work/shares.json" | uniq | wc -l | sed s/1/2/)"'
check "the page loads nothing" eval '! grep -qE "(src|href)=|https?://|@import|url\(" "$work/shares.html"'
check "the page has the data" eval 'sed -n "s/.*id=\"data\">//;/^{\"title\"/,/]}<.script>/p" "$work/shares.html" | grep -q two@'
check "report prints functions and lines" eval 'status 0 "$ljinspect" report "$work/shares.folded" && contains "$output" "two@shares.lua:19" && contains "$output" "shares.lua:23"'

# ---- Where files go ----

(
    cd "$work" && mkdir linked && cd linked && echo kept >victim || exit 1
    ln -s victim "ljinspect-$pid.html"
    record -d 0.3 -F 200 "$pid" && [ "$(cat victim)" = kept ] && [ ! -L "ljinspect-$pid.html" ] && [ -s "ljinspect-$pid.folded" ]
)
check "a link with the default name is replaced, not followed" [ $? -eq 0 ]
ln -s "$work/linked/target" "$work/link"
check "one that was asked for is" eval 'record -d 0.3 -F 200 -o "$work/link" "$pid" && [ -L "$work/link" ] && [ -s "$work/linked/target" ]'
check "standard output can be asked for" eval 'record -d 0.3 -F 200 -o /dev/stdout "$pid" | grep -q "shares.lua"'
check "a full device is told" eval 'status 1 "$ljinspect" record -d 0.3 -F 200 -o /dev/full "$pid" && contains "$output" "/dev/full: No space"'
echo old >"$work/old.html"
(ulimit -f 4 && status 1 "$ljinspect" record -d 0.3 -F 200 -o "$work/old.html" "$pid")
check "a file that cannot be written whole is a failure" [ $? -eq 0 ]
check "what was there stays" same old "$(cat "$work/old.html")"
check "and nothing is left beside it" same "" "$(ls "$work" | grep part)"

# ---- How it ends ----

"$ljinspect" record -b "$backend" -o "$work/interrupted.folded" "$pid" 2>"$work/said" &
recorder=$!
started+=("$recorder")
sleep 1
kill -INT $recorder
check "Ctrl-C ends it" wait $recorder
check "and it still writes" test -s "$work/interrupted.folded"
"$ljinspect" record -b "$backend" -d 60 -o "$work/gone.folded" "$pid" 2>"$work/said" &
recorder=$!
started+=("$recorder")
sleep 1
stop "$pid"
check "the end of the process ends it" wait $recorder
check "and it still writes then" test -s "$work/gone.folded"
# As soon as its parent has noticed, there is no trace of it any more.
luajit -e "local t = os.clock() + 1.5 while os.clock() < t do end" &
short=$!
(sleep 0.3 && exec timeout 20 "$ljinspect" record -b "$backend" -o "$work/short.folded" $short 2>"$work/said") &
recorder=$!
wait $short
check "also when it is reaped" wait $recorder

start luajit -e 'print "." io.flush() io.read()'
wait_for .
check "nothing runs: no profile" status 1 "$ljinspect" record -b "$backend" -d 0.3 -o "$work/none" "$pid"
check "and it says so" contains "$output" "no sample"
check "no file then" test ! -e "$work/none"
check "a duration of nothing" status 2 "$ljinspect" record -d 0 "$pid"
stop "$pid"
check "no such process" status 3 "$ljinspect" record 4194303
check "no process" status 2 "$ljinspect" record
check "a backend" status 2 "$ljinspect" record -b dtrace 1
check "a frequency" status 2 "$ljinspect" record -F 5000 1
check "help shows an example" eval 'status 0 "$ljinspect" record --help && contains "$output" Example:'
check "help of report shows an example" eval 'status 0 "$ljinspect" report --help && contains "$output" Example:'
printf 'no count here\n' >"$work/bad"
check "report of no profile" status 1 "$ljinspect" report "$work/bad"
check "report of no file" status 1 "$ljinspect" report "$work/absent"
printf 'a 18446744073709551615\na 2\n' >"$work/large"
check "report of counts that overflow" status 1 "$ljinspect" report "$work/large"
printf 'a;b;c 5\na;b 5\n' >"$work/foreign"
check "report of others' folded stacks" eval 'status 0 "$ljinspect" report "$work/foreign" && contains "$output" "50.00 %             100.00 %  b"'
finished
