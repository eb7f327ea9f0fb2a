#!/bin/sh
# The trap engine's tests on one LuaJIT.
#   CFLAGS_LUAJIT  where its headers are          LIBS_LUAJIT  how to link it
#   OUT            folder for what is built
#   LJINSPECT_EMULATOR  what runs the programs where CC compiles for another processor
#   OBJECTS        folder for what is compiled, if several LuaJITs with the same headers are to share it
# Exit status 77: the engine refuses this LuaJIT.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
OUT=${OUT:-$root/build/trap-tests}
OBJECTS=${OBJECTS:-$OUT/objects}
CC=${CC:-cc}
: "${LJINSPECT_EMULATOR:=}"
: "${CFLAGS_LUAJIT:=$(pkg-config --cflags luajit)}" "${LIBS_LUAJIT:=$(pkg-config --libs luajit)}"
mkdir -p "$OUT" "$OBJECTS" || exit 2
cd "$root" || exit 2

flags="-std=gnu11 -O2 -g -Wall -Wextra -Wconversion -Wshadow -Werror -Isrc -Iinclude $CFLAGS_LUAJIT ${EXTRA_CFLAGS:-}"
library=
for source in src/engine_trap.c src/trap_*.c src/trap_*.S src/vm/*.c src/hooks.c src/ticks.c src/wake.c src/error.c src/own_threads.c \
    tests/trap/directed.c tests/trap/memory.c tests/trap/room.c tests/trap/short.c; do
    object=$OBJECTS/$(basename "$source").o
    case $source in src/*) library="$library $object" ;; esac
    [ -n "$(find src include "$source" -newer "$object" 2>/dev/null | head -n 1)" ] || [ ! -e "$object" ] || continue
    # shellcheck disable=SC2086
    $CC $flags -c "$source" -o "$object" || exit 2
done
for test in directed memory room short; do
    # shellcheck disable=SC2086
    $CC ${EXTRA_CFLAGS:-} $library "$OBJECTS/$test.c.o" -o "$OUT/$test" $LIBS_LUAJIT -lm -ldl -lpthread -Wl,-E || exit 2
done

failed=0
fail() {
    echo "FAILED $*"
    failed=1
}

(cd "$here" && $LJINSPECT_EMULATOR "$OUT/directed" directed.lua >"$OUT/directed.out" 2>&1)
status=$?
[ $status = 77 ] && {
    echo "refused"
    exit 77
}
[ $status = 0 ] || { cat "$OUT/directed.out"; fail directed; }
for test in memory room short; do
    $LJINSPECT_EMULATOR "$OUT/$test" >"$OUT/$test.out" 2>&1
    status=$?
    [ $status = 0 ] || [ $status = 77 ] || { cat "$OUT/$test.out"; fail $test; }
done

[ $failed = 0 ] && echo "$(grep -c '^ok' "$OUT/directed.out") directed tests and those of memory, room and short: all as it should be"
exit $failed
