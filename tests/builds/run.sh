#!/bin/bash
# The trap engine on a LuaJIT that is built for it: run.sh SOURCE BUILD OUT VARIANT...
#   SOURCE   LuaJIT's sources (cmake/fetch-sources.sh unpacks some)    BUILD  our build tree, for the Lua module
#   OUT      where LuaJIT is built, once per variant                   VARIANT  a line of the file `variants`, or "all"
#   TORTURE_WAYS  how tests/torture/run.sh runs its programs; default: all
# A LuaJIT that the engine works in runs its tests, with a static library and with the module; one that it must refuse is
# refused with one line in the log, and hooks work all the same. Exit status 1 if anything is not as it should be.
set -u
unset CFLAGS LDFLAGS CCOPT XCFLAGS LUA_INIT LUA_PATH LUA_CPATH LJINSPECT_HOOKS_FILE LD_LIBRARY_PATH
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ $# -ge 4 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
source=$(realpath "$1") build=$(realpath "$2") out=$3
shift 3
mkdir -p "$out" && out=$(realpath "$out") || exit 2
CC=${CC:-cc}
TORTURE_WAYS=${TORTURE_WAYS:-all}
export CC TORTURE_WAYS
failed=0

fail() {
    echo "FAILED $variant: $*"
    failed=1
}

# Build LuaJIT in $tree, unless that was done with these flags before.
make_luajit() {
    local stamp="$source $optimise $flags"
    [ "$(cat "$tree/built" 2>/dev/null)" = "$stamp" ] && return
    rm -rf "$tree" && cp -a "$source" "$tree" || return 1
    make -C "$tree/src" -j2 BUILDMODE=static CC="$CC" CCDEBUG= CCOPT="$optimise -fomit-frame-pointer" XCFLAGS="$flags" \
        >"$tree/make.log" 2>&1 || { tail -n 5 "$tree/make.log"; return 1; }
    echo "$stamp" >"$tree/built"
}

luajit() {
    LJINSPECT_ENGINE=trap LUA_PATH="$tree/src/?.lua;$root/src/lua/?.lua" LUA_CPATH="$build/lua/?.so" \
        timeout 120 "$tree/src/luajit" "$@"
}

# The module in the variant's command: hooks are hit; what the log says.
probe() {
    luajit "$here/probe.lua" "$engine" 2>"$tree/probe.err" || { fail "probe: $(tail -n 3 "$tree/probe.err")"; return; }
    if [ "$engine" = trap ]; then
        [ ! -s "$tree/probe.err" ] || fail "the log says: $(cat "$tree/probe.err")"
    else
        local log
        log=$(cat "$tree/probe.err")
        case $log in
        *$'\n'*) fail "more than one line in the log: $log" ;;
        "ljinspect: no bytecode traps in this VM: $reason"*) echo "$variant: refused: ${log##*this VM: }" ;;
        *) fail "expected the refusal \"$reason\", the log says: $log" ;;
        esac
    fi
}

module_tests() {
    local test
    for test in "$root"/tests/module/*.lua; do
        case $engine,$test in line,*/engine.lua) continue ;; esac # says that the engine asked for is in use
        luajit "$test" >"$tree/module.log" 2>&1
        case $? in
        0) ;;
        77) echo "$variant: module test $(basename "$test") $(tail -n 1 "$tree/module.log")" ;;
        *) fail "module test $(basename "$test"): $(tail -n 4 "$tree/module.log")" ;;
        esac
    done
}

# Those of src/vm, with the LuaJIT in the executable.
unit_tests() {
    local test wraps
    for test in vm_learn vm_attach; do
        wraps=$(sed -n 's/^[^(]*[ *]__wrap_\([A-Za-z0-9_]*\)(.*;/-Wl,--wrap=\1/p' "$root/tests/unit/test_$test.c")
        case $flags in *LUA_USE_ASSERT*) export LJINSPECT_LUAJIT_ASSERTS=1 ;; *) unset LJINSPECT_LUAJIT_ASSERTS ;; esac
        # shellcheck disable=SC2046,SC2086
        $CC -std=c11 -D_GNU_SOURCE= -O1 -g -I"$root/src" -I"$root/include" -I"$tree/src" $(pkg-config --cflags cmocka) \
            "$root/tests/unit/test_$test.c" $wraps "$build/libljinspect.a" "$tree/src/libluajit.a" -Wl,-E -lm -ldl -lpthread \
            $(pkg-config --libs cmocka) -o "$tree/test_$test" || { fail "test_$test does not build"; continue; }
        LUA_PATH="$tree/src/?.lua" timeout 120 "$tree/test_$test" >"$tree/unit.log" 2>&1 ||
            fail "test_$test: $(grep -v '\[ *\(RUN\|OK\)' "$tree/unit.log" | tail -n 20)"
    done
}

trap_tests() {
    local output status
    output=$(CFLAGS_LUAJIT="-I$tree/src" LIBS_LUAJIT="$tree/src/libluajit.a" OUT="$tree/trap" OBJECTS="$out/objects" \
        timeout 900 "$root/tests/trap/run.sh" 2>&1)
    status=$?
    [ $status -eq 0 ] || fail "tests/trap/run.sh, status $status: $(echo "$output" | tail -n 15)"
    echo "$variant: $(echo "$output" | tail -n 1)"
}

torture() {
    local output status
    # shellcheck disable=SC2086
    $CC -std=c11 -D_GNU_SOURCE= -O1 -g -I"$root/src" -I"$root/include" -I"$tree/src" "$root"/tests/torture/*.c \
        "$build/libljinspect.a" \
        "$tree/src/libluajit.a" -Wl,-E -lm -ldl -lpthread -o "$tree/torture" || { fail "torture does not build"; return; }
    output=$(LJINSPECT_ENGINE=trap LUA_PATH="$tree/src/?.lua" timeout 900 "$root/tests/torture/run.sh" "$tree/torture" \
        programs 2>&1)
    status=$?
    [ $status -eq 0 ] || fail "tests/torture/run.sh, status $status: $(echo "$output" | tail -n 15)"
    echo "$variant: $(echo "$output" | tail -n 1)"
}

# shellcheck disable=SC2046
[ "$1" != all ] || set -- $(sed -n 's/^\([a-zA-Z][^ ]*\) .*/\1/p' "$here/variants" | grep -vx old)
for variant in "$@"; do
    line=$(grep "^$variant " "$here/variants") || { fail "no such variant"; continue; }
    read -r _ engine optimise flags <<<"${line%%|*}"
    reason=$(sed -n 's/.*| *//p' <<<"$line")
    tree=$out/$variant
    make_luajit || { fail "LuaJIT does not build with $flags"; continue; }
    probe
    module_tests
    [ "$engine" = trap ] || continue
    unit_tests
    trap_tests
    torture
done
exit $failed
