#!/bin/sh
# The torture: programs with a hook on every line of every function, in many ways, against runs without hooks and an
# oracle. run.sh TORTURE programs|debian|random [NAME...]
#   TORTURE         the program built from torture.c
#   programs        tests/torture/programs
#   debian          tests/torture/debian: over the libraries that fetch.sh unpacked
#   random          programs that generate.lua writes
#   NAME            one of them, without .lua; default all. Of the random ones: a seed; default $TORTURE_PROGRAMS (25) from
#                   $TORTURE_SEED on; each $TORTURE_GROUP (default 1) of them are one program, which is run in two ways
# From the environment:
#   LJINSPECT_ENGINE  the engine; default trap
#   TORTURE_WAYS    ways to run them (torture.c), or "short" (default) or "long": those below
#   TORTURE_SEED    of what is random; default 1
#   TORTURE_OUT     folder for what the runs write; default a temporary one, removed when all is well
#   TORTURE_DEBIAN  what fetch.sh unpacked; default build/torture-debs/root
#   LJINSPECT_EMULATOR  what runs TORTURE where it is another processor's
#   TORTURE_LONG    set: more input for some programs
# Exit status: 0; 1 for a difference; 77 where the engine is not to be had.
#
# A program says in its second line, after "-- torture:", what does not hold for it:
#   uncounted       it has hooks or a clock of its own, or overflows the stack: its hits are not compared
#   other-output    what it prints is not compared
#   trap-only       not with the line engine
#   no-gc           ways with "gc" or "stress" are run without these
#   no-lua          not in ways with "lua" or "table"
#   ffi             it needs the FFI library, which a LuaJIT may be built without
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
torture=$(realpath "$1") set=$2
shift 2
: "${LJINSPECT_ENGINE:=trap}" "${TORTURE_SEED:=1}" "${TORTURE_WAYS:=short}"
: "${TORTURE_GROUP:=1}" "${LJINSPECT_EMULATOR:=}" "${TORTURE_DEBIAN:=$root/build/torture-debs/root}"
export LJINSPECT_ENGINE TORTURE_SEED TORTURE_GROUP TORTURE_DEBIAN

# One program in all ways. What goes wrong goes to standard output; $out/NAME.done gets one line per way.
one() {
    script=$1 name=$(basename "$1" .lua)
    marks=$(sed -n '2s/^-- torture://p' "$script")
    failed=0
    is() { case " $marks " in *" $1 "*) true ;; *) false ;; esac; }
    # fail WAY WHAT
    fail() {
        echo "FAILED $name $1: $2"
        echo "  again: $settings LJINSPECT_ENGINE=$LJINSPECT_ENGINE TORTURE_SEED=$TORTURE_SEED TORTURE_WAYS=${1#hooks,}" \
            "tests/torture/run.sh $torture $set $name"
        failed=1
    }
    # go WAY NAME...: run it, its output to a file
    go() {
        way=$1 to=$out/$name.$2
        timeout 300 $LJINSPECT_EMULATOR "$torture" "$way" "$name.lua" >"$to.out" 2>"$to.err"
        status=$?
        if [ $status != 0 ]; then
            fail "$way" "status $status"
            head -n 30 "$to.err" | cut -c1-400
            return 1
        fi
    }
    # same NAME NAME WHAT: what two ways printed
    same() {
        is other-output || cmp -s "$out/$name.$1.out" "$out/$name.$2.out" && return
        fail "$way" "$3"
        diff "$out/$name.$1.out" "$out/$name.$2.out" | head -n 6 | cut -c1-200
    }
    if is ffi && [ -n "${TORTURE_NO_FFI:-}" ]; then
        echo "$name: not run, this LuaJIT has no FFI" && return
    fi
    if is trap-only && [ "$LJINSPECT_ENGINE" != trap ]; then return; fi
    export TORTURE_LINES="$out/$name.lines" TORTURE_COUNTS="$out/$name.counts"
    cd "$(dirname "$script")" || exit 2
    go plain plain || return 1
    case $TORTURE_WAYS in
    *second*) go plain,second second && go lines,second found && found=second || return 1 ;;
    *) go lines found && found=plain || return 1 ;;
    esac
    same "$found" found "does not print the same twice"
    go oracle oracle || return 1
    same plain oracle "the oracle changes the output"
    if [ $found = second ]; then
        TORTURE_COUNTS=$out/$name.counts2
        go oracle,second oracle2 || return 1
        same second oracle2 "the oracle changes the output"
    fi
    case $TORTURE_WAYS in *returns*)
        case $LJINSPECT_ENGINE,$marks in trap,*) ;; *) fail returns "only the trap engine sees them" && return 1 ;; esac
        TORTURE_LINES=$out/$name.functions TORTURE_COUNTS=$out/$name.returns
        go lines,returns functions && go oracle,returns oracle3 || return 1
        same plain oracle3 "the oracle of returns changes the output"
        case $TORTURE_WAYS in *returns*second*)
            TORTURE_LINES=$out/$name.functions2 TORTURE_COUNTS=$out/$name.returns2
            go lines,returns,second functions && go oracle,returns,second oracle4 || return 1
            same second oracle4 "the oracle of returns changes the output"
            ;;
        esac
        ;;
    esac
    for way in $TORTURE_WAYS; do
        is no-gc && way=$(echo ",$way," | sed 's/,gc,/,/; s/,stress,/,/; s/^,//; s/,$//')
        [ -n "$way" ] || continue
        is no-lua && case ,$way, in *,lua,* | *,table,*) continue ;; esac
        is uncounted && way=$way,uncounted
        like=plain TORTURE_LINES=$out/$name.lines TORTURE_COUNTS=$out/$name.counts
        case ,$way, in
        *,returns,*second,*) like=second TORTURE_LINES=$out/$name.functions2 TORTURE_COUNTS=$out/$name.returns2 ;;
        *,returns,*) TORTURE_LINES=$out/$name.functions TORTURE_COUNTS=$out/$name.returns ;;
        *,second,*) like=second TORTURE_COUNTS=$out/$name.counts2 ;;
        esac
        go "hooks,$way" hooks || [ $status = 1 ] || continue
        same $like hooks "output differs"
        [ $status = 0 ] || continue
        sed -n "s/^done: /$name $way /p" "$out/$name.hooks.err" >>"$out/$name.done"
    done
    return $failed
}

# Of the ways, two for this seed.
ways_of() {
    seed=$1
    # shellcheck disable=SC2086
    set -- $TORTURE_WAYS
    first=$((seed % $#)) second=$(((seed / $# + seed % 2 + 1) % $#))
    eval "echo \"\${$((first + 1))} \${$((second + 1))}\""
}

if [ "$set" = --one ]; then
    set=$TORTURE_SET
    if [ "$set" = random ]; then
        luajit "$here/generate.lua" "$1" "$TORTURE_GROUP" >"$out/$1.lua" || exit 1
        TORTURE_WAYS=$(ways_of $(($1 / TORTURE_GROUP)))
        TORTURE_SEED=$1
        one "$out/$1.lua"
        status=$?
        [ $status != 0 ] || rm -f "$out/$1".*[!e]
        exit $status
    fi
    one "$1"
    exit
fi

case $set,$LJINSPECT_ENGINE,$TORTURE_WAYS in
programs,trap,short) TORTURE_WAYS="all nojit second lua sparse,random,stress,lua sparse,jit random,jit,second
        table,lua,second table,sparse,jit,random returns returns,lua returns,sparse,jit,random" ;;
programs,trap,long)
    TORTURE_WAYS="all nojit second bytecode lua stress sparse,jit sparse,jit,second random random,jit,second
        sparse,random,stress,lua table table,lua,random table,sparse,jit,second table,random,stress,lua,second
        returns returns,nojit,lua returns,second returns,bytecode,jit returns,sparse,stress,lua returns,sparse,random,jit,second"
    ;;
programs,line,short) TORTURE_WAYS="all second,lua random table,random" ;;
programs,line,long) TORTURE_WAYS="all second bytecode lua gc random random,second,gc table table,lua,second table,random" ;;
random,trap,*) TORTURE_WAYS="all jit nojit second sparse,jit lua sparse,random,gc,lua bytecode,jit random,jit,second gc,lua sparse,jit,second
        table,sparse,jit,random" ;;
random,line,*) TORTURE_WAYS="all second,lua random bytecode,gc table,random" ;;
debian,trap,short) TORTURE_WAYS="all sparse,random,gc,lua,second" ;;
debian,trap,long)
    TORTURE_WAYS="all second bytecode,sparse,lua sparse,jit,second sparse,gc,jit random,jit sparse,random,gc,lua,second
        returns returns,random,gc,lua,second"
    ;;
debian,line,short) TORTURE_WAYS="all" ;;
debian,line,long) TORTURE_WAYS="all second sparse,random,gc,lua,second" ;;
esac
case $set in
programs) settings= ;;
random) settings="TORTURE_GROUP=$TORTURE_GROUP" ;;
debian)
    [ -d "$TORTURE_DEBIAN/usr/share/lua/5.1" ] || {
        echo "SKIPPED: no Lua libraries in $TORTURE_DEBIAN; tests/torture/fetch.sh unpacks them there"
        [ -z "${LJINSPECT_NO_SKIP:-}" ] && exit 77
        exit 1
    }
    settings="TORTURE_DEBIAN=$TORTURE_DEBIAN ${TORTURE_LONG:+TORTURE_LONG=1}"
    libs=$(dirname "$(ls -d "$TORTURE_DEBIAN"/usr/lib/*/lua/5.1 | head -n 1)")
    LUA_PATH="$here/debian/lib/?.lua;$TORTURE_DEBIAN/usr/share/lua/5.1/?.lua;$TORTURE_DEBIAN/usr/share/lua/5.1/?/init.lua;$TORTURE_DEBIAN/usr/lib/prosody/?.lua;${LUA_PATH:-;}"
    LUA_CPATH="$libs/5.1/?.so;${LUA_CPATH:-;}"
    triplet=$(basename "${libs%/lua}")
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$TORTURE_DEBIAN/usr/lib/$triplet:$TORTURE_DEBIAN/lib/$triplet"
    export LUA_PATH LUA_CPATH LD_LIBRARY_PATH
    ;;
*)
    echo "run.sh: $set?"
    exit 2
    ;;
esac
out=${TORTURE_OUT:-$(mktemp -d)}
mkdir -p "$out" || exit 2
settings="${LD_LIBRARY_PATH:+LD_LIBRARY_PATH=$LD_LIBRARY_PATH }$settings"
export out settings TORTURE_WAYS TORTURE_SET="$set"
rm -f "$out"/*.done
: >"$out/none.done"

TORTURE_LINES=/dev/null TORTURE_COUNTS=/dev/null $LJINSPECT_EMULATOR "$torture" hooks /dev/null 2>"$out/probe"
[ $? = 77 ] && {
    cat "$out/probe"
    exit 77
}
echo 'io.write(jit.version, pcall(require, "table.nkeys") and " (luajit2)" or "") if not pcall(require, "ffi") then io.write(" without FFI") end' >"$out/version.lua"
version=$($LJINSPECT_EMULATOR "$torture" plain "$out/version.lua" 2>"$out/probe") || {
    cat "$out/probe"
    exit 2
}
case $version in *"without FFI") TORTURE_NO_FFI=1 && export TORTURE_NO_FFI ;; esac

if [ "$set" = random ]; then
    [ $# -gt 0 ] || set -- $(seq "$TORTURE_SEED" "$TORTURE_GROUP" $((TORTURE_SEED + ${TORTURE_PROGRAMS:-25} - 1)))
    names() { printf '%s\n' "$@"; }
else
    [ $# -gt 0 ] || set -- $(cd "$here/$set" && ls ./*.lua | sed 's/\.lua$//')
    names() { for name in "$@"; do echo "$here/$set/${name#./}.lua"; done; }
fi
names "$@" |
    xargs -P "$(nproc)" -n 1 "$0" "$torture" --one >"$out/failures" 2>&1
status=$?
cat "$out/failures"
cat "$out"/*.done | awk -v version="$version" -v engine="$LJINSPECT_ENGINE" -v set="$set" -v seed="$TORTURE_SEED" \
    -v each="$([ "$set" = random ] && echo "$TORTURE_GROUP" || echo 1)" \
    -v failed="$(grep -c '^FAILED' "$out/failures")" '
    { if ($3 > lines[$1]) lines[$1] = $3; runs++; hooks += $5; hits += $7; changes += $9 }
    END { for (name in lines) { programs += each; all += lines[name] }
          printf "%s, engine %s, %s, seed %s: %d programs with %d lines ran %d times with %d hooks: %d hits, hooks changed " \
              "%d times; %d failed\n", version, engine, set, seed, programs, all, runs, hooks, hits, changes, failed }'
[ $status = 0 ] || {
    echo "what the runs wrote is in $out"
    exit 1
}
[ -n "${TORTURE_OUT:-}" ] || rm -rf "$out"
