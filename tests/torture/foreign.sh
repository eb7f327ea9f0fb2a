#!/bin/sh
# Programs of others, as they are, with a hook on every line: foreign.sh TORTURE DIRECTORY [PROGRAM...]
#   TORTURE    the program built from torture.c
#   DIRECTORY  is copied for each run, which begins in the copy
#   PROGRAM    a file in it and perhaps arguments, as one word; default all *.lua and *.t
# A program is run twice without hooks, then in each way: exit status, output and messages must be the same, byte for byte,
# after $FOREIGN_SED. Hits are not compared: such programs have debug hooks, states and clocks of their own.
# From the environment:
#   LJINSPECT_ENGINE  the engine; default trap
#   FOREIGN_WAYS     ways to run them (torture.c); default those below
#   FOREIGN_FIRST    modules that are required first
#   FOREIGN_SED      an extended sed script that takes away what differs by itself; default addresses
#   FOREIGN_SECONDS  for a run; default 60. A program that takes a fifth of it without hooks is not run with them
#   FOREIGN_OUT      folder for what the runs write; default a temporary one, removed when all is well
# Exit status: 0; 1 for a difference; 77 where the engine is not to be had.
set -u

if [ "$1" = --one ]; then
    program=$2
    name=$(echo "$program" | tr -c 'A-Za-z0-9._\n' _)
    # result WAY WORD WHAT
    result() { echo "$2 $name $1: $3"; }
    # go WAY NAME SECONDS: run it in a copy of the directory, which lies at the same place each time
    go() {
        rm -rf "$out/$name.work"
        cp -a "$directory" "$out/$name.work" && cd "$out/$name.work" || exit 2
        # shellcheck disable=SC2086
        TORTURE_REPORT=$out/$name.$2.report timeout -k 5 "$3" "$torture" "$1" $program \
            >"$out/$name.$2.raw" 2>"$out/$name.$2.rawerr" </dev/null
        status=$?
        { cat "$out/$name.$2.raw" && echo "status $status, messages:" && cat "$out/$name.$2.rawerr"; } |
            LC_ALL=C sed -E "$FOREIGN_SED" >"$out/$name.$2.out"
        cd "$out" && rm -rf "$name.work" "$name.$2.raw" "$name.$2.rawerr"
    }
    export TORTURE_LINES="$out/$name.lines" TORTURE_COUNTS=/dev/null
    go plain plain $((FOREIGN_SECONDS / 5))
    without=$status
    if [ "$without" = 124 ]; then
        result plain LONG "more than $((FOREIGN_SECONDS / 5)) s without hooks"
        exit 0
    fi
    go plain again "$FOREIGN_SECONDS"
    steady=1
    cmp -s "$out/$name.plain.out" "$out/$name.again.out" || steady=0
    if [ "$without" -gt 124 ] || [ $status != "$without" ]; then
        result plain UNSOUND "status $without, then $status, without hooks"
        exit 0
    fi
    go lines lines "$FOREIGN_SECONDS"
    if [ $status -ge 124 ]; then
        result lines LONG "status $status, while its lines were looked for"
        exit 0
    fi
    failed=0
    for way in $FOREIGN_WAYS; do
        go "hooks,$way,uncounted" hooks "$FOREIGN_SECONDS"
        sed -n "s/^done: /$name $way /p" "$out/$name.hooks.report" >>"$out/$name.done"
        again="  again: LJINSPECT_ENGINE=$LJINSPECT_ENGINE FOREIGN_WAYS=$way"
        if [ $status = 124 ] || [ $status = 137 ]; then
            result "$way" LONG "more than $FOREIGN_SECONDS s"
        elif [ $status != "$without" ] || grep -q '^torture: ' "$out/$name.hooks.report"; then
            result "$way" DIFFERS "status $status, not $without"
            grep '^torture: ' "$out/$name.hooks.report" | head -n 10 | cut -c1-400
            tail -n 3 "$out/$name.hooks.out" | cut -c1-400
            echo "$again" && failed=1
        elif [ $steady = 0 ]; then
            result "$way" UNSTEADY "differs from run to run without hooks: only its status was compared"
        elif cmp -s "$out/$name.plain.out" "$out/$name.hooks.out"; then
            result "$way" SAME "status $status"
        else
            result "$way" DIFFERS "other output"
            diff "$out/$name.plain.out" "$out/$name.hooks.out" | head -n 10 | cut -c1-300
            echo "$again" && failed=1
        fi
    done
    exit $failed
fi

torture=$(realpath "$1") directory=$(realpath "$2")
shift 2
: "${LJINSPECT_ENGINE:=trap}" "${FOREIGN_SECONDS:=60}" "${FOREIGN_FIRST:=}" "${TORTURE_SEED:=1}"
: "${FOREIGN_SED:=s/0x[0-9a-f]+/ADDRESS/g}"
case $LJINSPECT_ENGINE in
trap) : "${FOREIGN_WAYS:=all lua sparse,jit,random returns}" ;;
*) : "${FOREIGN_WAYS:=all lua}" ;;
esac
out=${FOREIGN_OUT:-$(mktemp -d)}
mkdir -p "$out" || exit 2
rm -f "$out"/*.done
: >"$out/none.done"
TORTURE_FIRST=$FOREIGN_FIRST
export torture directory out LJINSPECT_ENGINE FOREIGN_SECONDS FOREIGN_SED FOREIGN_WAYS TORTURE_FIRST TORTURE_SEED

TORTURE_FIRST='' TORTURE_LINES=/dev/null TORTURE_COUNTS=/dev/null "$torture" hooks /dev/null 2>"$out/probe"
[ $? = 77 ] && {
    cat "$out/probe"
    exit 77
}
if [ $# = 0 ]; then
    cd "$directory" || exit 2
    for program in *.lua *.t; do [ ! -f "$program" ] || set -- "$@" "$program"; done
fi
[ $# -gt 0 ] || {
    echo "foreign.sh: no program in $directory"
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
cd "$out" && printf '%s\n' "$@" | tr '\n' '\0' | xargs -0 -P "${FOREIGN_JOBS:-$(nproc)}" -n 1 "$here/foreign.sh" --one >"$out/results" 2>&1
status=$?
grep -Ev '^SAME ' "$out/results"
cat "$out"/*.done | awk -v engine="$LJINSPECT_ENGINE" -v programs=$# -v results="$out/results" '
    { if ($3 > lines[$1]) lines[$1] = $3; runs++; hits += $7 }
    END { for (name in lines) all += lines[name]
          while ((getline line < results) > 0) { split(line, word, " "); n[word[1]]++ }
          printf "engine %s: %d programs with %d lines, %d runs with hooks, %d hits: %d the same, %d differ; not compared: %d that " \
              "differ from run to run, %d that take too long, %d that fail without hooks\n", engine, programs, all, runs, hits, \
              n["SAME"], n["DIFFERS"], n["UNSTEADY"], n["LONG"], n["UNSOUND"] }'
[ $status = 0 ] || {
    echo "what the runs wrote is in $out"
    exit 1
}
[ -n "${FOREIGN_OUT:-}" ] || rm -rf "$out"
