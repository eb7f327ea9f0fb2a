#!/bin/sh
# The test suites of LuaJIT with a hook on every line (foreign.sh): suites.sh TORTURE CHECKOUT
#   TORTURE   the program built from torture.c
#   CHECKOUT  of LuaJIT as Tarantool has it: its folder test holds LuaJIT's own tests, those of Lua 5.1, lua-Harness, and
#             one for each of many errors of LuaJIT that were repaired
# The libraries in C that the tests use are compiled. Environment and exit status: as foreign.sh; SUITES: some of them by name.
set -u
here=$(cd "$(dirname "$0")" && pwd)
torture=$(realpath "$1") from=$(realpath "$2")/test
into=$(mktemp -d) status=0
set --
: "${FOREIGN_SECONDS:=300}"
export FOREIGN_SECONDS
: "${SUITES:=LuaJIT-tests PUC-Rio-Lua-5.1-tests lua-Harness-tests tarantool-tests}"
LUA_PATH="./?.lua;./?/init.lua;${LUA_PATH:-;}"
LUA_CPATH="./?.so;${LUA_CPATH:-;}"
LD_LIBRARY_PATH=".${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LUA_PATH LUA_CPATH LD_LIBRARY_PATH
# shellcheck disable=SC2046
library() { # OUTPUT SOURCE...
    "${CC:-cc}" -O1 -w -fPIC -shared $(pkg-config --cflags luajit) -o "$@" || exit 2
}
# Run what is in $into/SUITE.
run() {
    suite=$1
    shift
    echo "== $suite"
    FOREIGN_OUT="${FOREIGN_OUT:+$FOREIGN_OUT/$suite}" "$here/foreign.sh" "$torture" "$into/$suite" "$@" || status=1
}
# What differs from run to run by itself: addresses, the clock, names of temporary files; how much memory there is in use is
# other with hooks. And the names of functions in tracebacks and messages (README.md).
common='s/0x[0-9a-f]+/ADDRESS/g; s,/tmp/lua_[A-Za-z0-9]+,TEMPORARY,g; s/in function .*/in function/; s/\[C\]: at ADDRESS/[C]: in function/
s/(attempt to [a-z ]*) (global|local|field|upvalue|method|constant) .[^ ]* \(a ([a-z]*) value\)/\1 a \3 value/
s/bad argument (#[0-9]+) to .[^ ]*/bad argument \1/; s/calling .[^ ]* on bad self/calling on bad self/'

for suite in $SUITES; do
    cp -a "$from/$suite" "$into/$suite" && cd "$into/$suite" || exit 2
    FOREIGN_FIRST='' FOREIGN_SED=$common
    export FOREIGN_FIRST FOREIGN_SED
    case $suite in
    LuaJIT-tests)
        library libctest.so src/libctest.c
        library libcpptest.so src/libcpptest.cpp -lstdc++
        for shard in 1 2 3 4 5 6 7 8; do
            set -- "$@" "test.lua --shard=$shard/8 +slow +ffi +bit +jit"
        done
        run $suite "$@"
        ;;
    PUC-Rio-Lua-5.1-tests)
        cd libs && mkdir -p P1
        for name in lib1 lib11 lib2 lib21; do
            case $name in lib?1) library $name.so "${name%1}.c" $name.c ;; *) library $name.so $name.c ;; esac
        done
        cp lib2.so ./-lib2.so
        cp "$from/luajit-test-init.lua" ..
        FOREIGN_FIRST=luajit-test-init
        LUA_PATH="?;$LUA_PATH" run $suite
        ;;
    lua-Harness-tests)
        FOREIGN_FIRST=profile_luajit21
        run $suite
        ;;
    tarantool-tests)
        for source in */*.c; do
            library "$(basename "$source" .c).so" "$source"
        done
        # shellcheck disable=SC2046
        run $suite $(ls ./*.test.lua profilers/*.lua ./*/script.lua | sed 's,^\./,,')
        ;;
    esac
done
rm -rf "$into"
exit $status
