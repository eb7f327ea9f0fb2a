#!/bin/sh
# The torture: programs with a hook on every line of every function, in many ways, against runs without hooks and an
# oracle. run.sh TORTURE programs|debian [NAME...]
#   TORTURE         the program built from torture.c
#   programs        tests/torture/programs; `debian`: tests/torture/debian, over what fetch-lua.sh unpacked
#   NAME            one of them, without .lua; default all
# From the environment:
#   TORTURE_WAYS    ways to run them (torture.c); default those below
#   TORTURE_SEED    of what is random; default 1. TORTURE_SEEDS: several, one after the other
#   TORTURE_OUT     folder for what the runs write; default a temporary one, removed when all is well
#   TORTURE_DEBIAN  what fetch-lua.sh unpacked; default build/torture-debs/root
#   TORTURE_LONG    set: more input for some programs
# Exit status: 0; 1 for a difference; 77 where the engine $LJINSPECT_ENGINE (default trap) is not to be had.
#
# A program says in its second line, after "-- torture:", what does not hold for it:
#   uncounted       it has hooks or a clock of its own, or overflows the stack: its hits are not compared
#   other-output    what it prints is not compared
#   no-gc, no-lua   not these ways
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
torture=$1 set=$2
shift 2
: "${LJINSPECT_ENGINE:=trap}" "${TORTURE_SEEDS:=${TORTURE_SEED:-1}}"
: "${TORTURE_DEBIAN:=$root/build/torture-debs/root}"
export LJINSPECT_ENGINE TORTURE_SEEDS TORTURE_DEBIAN

# One program in all ways. What goes wrong goes to standard output; $out/NAME.done gets one line per way.
one() {
    script=$1 name=$(basename "$1" .lua)
    marks=$(sed -n '2s/^-- torture://p' "$script")
    failed=0
    is() { case " $marks " in *" $1 "*) true ;; *) false ;; esac; }
    fail() {
        echo "FAILED $name $*"
        failed=1
    }
    # go WAY NAME...: run it, its output to a file
    go() {
        way=$1 to=$out/$name.$2
        timeout 300 "$torture" "$way" "$script" >"$to.out" 2>"$to.err"
        status=$?
        [ -z "${TORTURE_TIMES:-}" ] || echo "$name $way: until $(date +%T)"
        if [ $status != 0 ]; then
            fail "$way (seed $TORTURE_SEED): status $status"
            head -n 12 "$to.err" | cut -c1-400
            return 1
        fi
    }
    TORTURE_SEED=1
    export TORTURE_SEED TORTURE_LINES="$out/$name.lines" TORTURE_COUNTS="$out/$name.counts"
    cd "$(dirname "$script")" && script=$(basename "$script") || exit 2
    go lines found && go plain plain && go plain,second second || return 1
    cmp -s "$out/$name.found.out" "$out/$name.plain.out" || is other-output || fail "does not print the same twice"
    go oracle oracle || return 1
    cmp -s "$out/$name.plain.out" "$out/$name.oracle.out" || is other-output || fail "oracle: output differs"
    TORTURE_COUNTS=$out/$name.counts2
    go oracle,second oracle2 || return 1
    cmp -s "$out/$name.second.out" "$out/$name.oracle2.out" || is other-output || fail "oracle, second: output differs"
    for TORTURE_SEED in $TORTURE_SEEDS; do
        for way in $TORTURE_WAYS; do
            is no-gc && case ,$way, in *,gc,*) continue ;; esac
            is no-lua && case ,$way, in *,lua,*) continue ;; esac
            is uncounted && way=$way,uncounted
            plain=$out/$name.plain TORTURE_COUNTS=$out/$name.counts
            case ,$way, in *,second,*) plain=$out/$name.second TORTURE_COUNTS=$out/$name.counts2 ;; esac
            go "hooks,$way" hooks || continue
            cmp -s "$plain.out" "$out/$name.hooks.out" || is other-output || {
                fail "hooks,$way (seed $TORTURE_SEED): output differs"
                diff "$plain.out" "$out/$name.hooks.out" | head -n 6 | cut -c1-200
            }
            sed -n "s/^done: /$name $way /p" "$out/$name.hooks.err" >>"$out/$name.done"
        done
    done
    return $failed
}

if [ "$set" = --one ]; then
    one "$1"
    exit
fi

case $set in
programs) : "${TORTURE_WAYS:=all nojit second bytecode lua gc sparse,jit sparse,jit,second random random,jit,second sparse,random,gc,lua}" ;;
debian)
    : "${TORTURE_WAYS:=all second bytecode,lua sparse,jit,second sparse,gc,jit random,jit sparse,random,gc,lua,second}"
    [ -d "$TORTURE_DEBIAN/usr/share/lua/5.1" ] || {
        echo "SKIPPED: no Lua libraries in $TORTURE_DEBIAN; tests/torture/fetch-lua.sh unpacks them there"
        [ -z "${LJINSPECT_NO_SKIP:-}" ] && exit 77
        exit 1
    }
    libs=$(dirname "$(ls -d "$TORTURE_DEBIAN"/usr/lib/*/lua/5.1 | head -n 1)")
    LUA_PATH="$here/debian/lib/?.lua;$TORTURE_DEBIAN/usr/share/lua/5.1/?.lua;$TORTURE_DEBIAN/usr/share/lua/5.1/?/init.lua;$TORTURE_DEBIAN/usr/lib/prosody/?.lua;${LUA_PATH:-;}"
    LUA_CPATH="$libs/5.1/?.so;${LUA_CPATH:-;}"
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${libs%/lua}"
    export LUA_PATH LUA_CPATH LD_LIBRARY_PATH
    ;;
*)
    echo "run.sh: $set?"
    exit 2
    ;;
esac
out=${TORTURE_OUT:-$(mktemp -d)}
mkdir -p "$out" || exit 2
export out TORTURE_WAYS
rm -f "$out"/*.done
: >"$out/none.done"

"$torture" hooks /dev/null >/dev/null 2>"$out/probe" || true
TORTURE_LINES=/dev/null TORTURE_COUNTS=/dev/null "$torture" hooks /dev/null 2>"$out/probe"
[ $? = 77 ] && {
    cat "$out/probe"
    exit 77
}
[ $# -gt 0 ] || set -- $(cd "$here/$set" && ls ./*.lua | sed 's/\.lua$//')
for name in "$@"; do echo "$here/$set/${name#./}.lua"; done |
    xargs -P "$(nproc)" -n 1 "$0" "$torture" --one >"$out/failures" 2>&1
status=$?
cat "$out/failures"
cat "$out"/*.done | awk -v programs=$# -v seeds="$TORTURE_SEEDS" -v engine="$LJINSPECT_ENGINE" '
    { lines[$1] = $3; runs++; hooks += $5; hits += $7; changes += $9; problems += $11 }
    END { for (name in lines) all += lines[name]
          printf "engine %s: %d programs, %d lines; %d runs with %d hooks, %d hits, %d changes of hooks (seeds: %s), %d differences\n",
              engine, programs, all, runs, hooks, hits, changes, seeds, problems }'
[ $status = 0 ] || {
    echo "DIFFERENCES or failed runs, see above; files in $out"
    exit 1
}
[ -n "${TORTURE_OUT:-}" ] || rm -rf "$out"
