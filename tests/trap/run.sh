#!/bin/sh
# The trap engine's tests on one LuaJIT.
#   CFLAGS_LUAJIT  where its headers are          LIBS_LUAJIT  how to link it
#   OUT            folder for what is built       MODES        ways to run the programs, default all
#   OBJECTS        folder for what is compiled, if several LuaJITs with the same headers are to share it
# Exit status 77: the engine refuses this LuaJIT.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
OUT=${OUT:-$root/build/trap-tests}
OBJECTS=${OBJECTS:-$OUT/objects}
CC=${CC:-cc}
: "${CFLAGS_LUAJIT:=$(pkg-config --cflags luajit)}" "${LIBS_LUAJIT:=$(pkg-config --libs luajit)}"
: "${MODES:=trap trap,nojit trap,gc,lua trap,lua,bound trap,random trap,random,gc,lua}"
mkdir -p "$OUT" "$OBJECTS" || exit 2
cd "$root" || exit 2

flags="-std=gnu11 -O2 -g -Wall -Wextra -Wconversion -Wshadow -Werror -Isrc -Iinclude $CFLAGS_LUAJIT ${EXTRA_CFLAGS:-}"
library=
for source in src/engine_trap.c src/trap_*.c src/trap_x64.S src/vm/*.c src/hooks.c src/wake.c \
    tests/trap/harness.c tests/trap/directed.c tests/trap/memory.c; do
    object=$OBJECTS/$(basename "$source").o
    case $source in src/*) library="$library $object" ;; esac
    [ -n "$(find src include "$source" -newer "$object" 2>/dev/null | head -n 1)" ] || [ ! -e "$object" ] || continue
    # shellcheck disable=SC2086
    $CC $flags -c "$source" -o "$object" || exit 2
done
for test in harness directed memory; do
    # shellcheck disable=SC2086
    $CC ${EXTRA_CFLAGS:-} $library "$OBJECTS/$test.c.o" -o "$OUT/$test" $LIBS_LUAJIT -lm -ldl -lpthread -Wl,-E || exit 2
done

failed=0
fail() {
    echo "FAILED $*"
    failed=1
}

(cd "$here" && "$OUT/directed" directed.lua >"$OUT/directed.out" 2>&1)
status=$?
[ $status = 77 ] && {
    echo "refused"
    exit 77
}
[ $status = 0 ] || { cat "$OUT/directed.out"; fail directed; }
"$OUT/memory" >"$OUT/memory.out" 2>&1
status=$?
[ $status = 0 ] || [ $status = 77 ] || { cat "$OUT/memory.out"; fail memory; }

echo 'print((pcall(require, "ffi")))' >"$OUT/has_ffi.lua"
has_ffi=$("$OUT/harness" plain "$OUT/has_ffi.lua" "$OUT/has_ffi.counts" 2>&1)
case $has_ffi in true | false) ;; *) fail "whether there is an FFI: $has_ffi" ;; esac

# Output as without hooks; as many hits on each line as arrivals, where the way of running keeps all hooks armed.
total=0
cd "$here/programs" || exit 2
for program in *.lua; do
    name=${program%.lua}
    [ "$name" != ffi ] || [ "$has_ffi" = true ] || {
        echo "ffi: not run, this LuaJIT has no FFI"
        continue
    }
    counted=1
    case $name in overflow | sethook | profile | names) counted=0 ;; esac
    "$OUT/harness" plain "$program" "$OUT/$name.plain.counts" >"$OUT/$name.plain" 2>&1 || fail "$name plain"
    ! grep '^error: ' "$OUT/$name.plain" || fail "$name plain: the program does not come to its end"
    [ $counted = 0 ] || "$OUT/harness" oracle "$program" "$OUT/$name.oracle.counts" >"$OUT/$name.oracle" 2>&1 ||
        fail "$name oracle"
    for mode in $MODES; do
        case $name,$mode in overflow,*gc*) continue ;; esac # a full collection of a full stack at every 50th hit
        "$OUT/harness" "$mode" "$program" "$OUT/$name.counts" >"$OUT/$name.out" 2>&1 || fail "$name $mode: status $?"
        [ "$name" = names ] || cmp -s "$OUT/$name.plain" "$OUT/$name.out" || fail "$name $mode: output differs"
        case $mode in
        *random*) ;;
        *) [ $counted = 0 ] || cmp -s "$OUT/$name.oracle.counts" "$OUT/$name.counts" ||
            fail "$name $mode: hits differ" ;;
        esac
        hits=$(awk '{ s += $2 } END { print s + 0 }' "$OUT/$name.counts")
        total=$((total + hits))
    done
done
echo "$total hits, $([ $failed = 0 ] && echo no differences || echo DIFFERENCES)"
exit $failed
