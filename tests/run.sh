#!/bin/sh
# Run one test: run.sh SOURCE BUILD DEBS sanitize=[LIST] NEED COMMAND [ARGUMENT...]
#
# NEED says what the test runs with, and the environment follows from it:
#   luajit    the system's luajit command and library
#   luajit2   OpenResty's, from DEBS
#   debs      what cmake/fetch-debs.sh unpacks: luajit2, nginx and its Lua module
#   sources   what cmake/fetch-sources.sh unpacks: the sources of both; the first ARGUMENT is one of them
#   arm64     what cmake/fetch-arm64.sh unpacks, and qemu-user to run it with
#   nm, cxx   a tool of the compiler
#   chromium  a browser
#   protoc    the compiler of protocol buffers
#   bash, zsh, fish   a shell
#   groff     what shows manual pages
#   manual    that, mandoc, lowdown, and luajit
#   deb       what makes Debian packages, and a C++ compiler
#   lintian   that, and lintian
#   luarocks  the command, and luajit
#   missing   nothing helps: COMMAND is the name of what was not found when the build was configured
# With LJINSPECT_VALGRIND set the program is run by valgrind, and a finding of it is a failure.
# LJINSPECT_EMULATOR: a command that runs programs of the build, which are another processor's (tests/CMakeLists.txt).
# Exit status: the command's; 77 when the need is not met, or 1 where LJINSPECT_NO_SKIP is set.
set -u
source=$1 build=$2 debs=$3 sanitize=$4 need=$5
shift 5

skip() {
    echo "SKIPPED: $1"
    [ -z "${LJINSPECT_NO_SKIP:-}" ] && exit 77
    echo "LJINSPECT_NO_SKIP is set: that is a failure"
    exit 1
}

needs_command() {
    command -v "$1" >/dev/null || skip "command $1 not found$2"
}

LJINSPECT_SOURCE=$source LJINSPECT_BUILD=$build LJINSPECT_DEBS=$debs
LUA_PATH="$source/src/lua/?.lua;;"
LUA_CPATH="$build/lua/?.so;;"
export LJINSPECT_SOURCE LJINSPECT_BUILD LJINSPECT_DEBS LUA_PATH LUA_CPATH
unset LUA_INIT LJINSPECT_HOOKS_FILE
: "${LJINSPECT_EMULATOR:=}"
[ -z "$LJINSPECT_EMULATOR" ] || PATH=$build/emulated/$need:$PATH

case $need in
luajit) needs_command luajit " (Debian: luajit)" ;;
luajit2)
    lib=$(echo "$debs"/usr/lib/*/libluajit-5.1.so.2)
    [ -e "$lib" ] || skip "no luajit2 in $debs; cmake/fetch-debs.sh unpacks it there"
    LD_LIBRARY_PATH=${lib%/*}
    [ -n "$LJINSPECT_EMULATOR" ] || PATH=$debs/usr/bin:$PATH
    LUA_PATH="$(echo "$debs"/usr/share/luajit-*)/?.lua;$LUA_PATH"
    export LD_LIBRARY_PATH PATH
    # Same names as the system's: make sure that it is the other one.
    case $1 in
    luajit | *.sh) luajit -e 'assert(require "table.nkeys", "not luajit2")' || exit 1 ;;
    *)
        LD_TRACE_LOADED_OBJECTS=1 $LJINSPECT_EMULATOR "$1" | grep -qF "=> $lib" || {
            echo "$1 does not load $lib"
            exit 1
        }
        ;;
    esac
    ;;
debs)
    [ -x "$debs/usr/sbin/nginx" ] || skip "nothing in $debs; cmake/fetch-debs.sh unpacks there what this needs"
    needs_command curl " (Debian: curl)"
    ;;
sources)
    [ -e "$2/done" ] || skip "no sources of $(basename "$2"); cmake/fetch-sources.sh unpacks them"
    needs_command make " (Debian: make)"
    ;;
arm64)
    LJINSPECT_ARM64=$source/build/arm64
    [ -e "$LJINSPECT_ARM64/done" ] || skip "nothing in $LJINSPECT_ARM64; cmake/fetch-arm64.sh unpacks there what this needs"
    needs_command qemu-aarch64-static " (Debian: qemu-user-static)"
    needs_command luajit " (Debian: luajit)"
    export LJINSPECT_ARM64
    ;;
nm) needs_command nm " (Debian: binutils)" ;;
chromium)
    needs_command chromium " (Debian: chromium)"
    needs_command luajit " (Debian: luajit)"
    ;;
protoc)
    needs_command protoc " (Debian: protobuf-compiler)"
    needs_command luajit " (Debian: luajit)"
    ;;
bash | zsh | fish) needs_command "$need" " (Debian: $need)" ;;
groff) needs_command groff " (Debian: groff-base)" ;;
manual)
    needs_command groff " (Debian: groff-base)"
    needs_command mandoc " (Debian: mandoc)"
    needs_command lowdown " (Debian: lowdown)"
    needs_command luajit " (Debian: luajit)"
    ;;
cxx)
    needs_command c++ " (Debian: g++)"
    needs_command pkg-config ""
    ;;
deb | lintian)
    needs_command dpkg-shlibdeps " (Debian: dpkg-dev)"
    needs_command c++ " (Debian: g++)"
    needs_command luajit " (Debian: luajit)"
    [ "$need" = deb ] || needs_command lintian " (Debian: lintian)"
    ;;
luarocks)
    needs_command luarocks " (Debian: luarocks)"
    needs_command luajit " (Debian: luajit)"
    ;;
missing) skip "$1 was not found when the build was configured" ;;
esac

case $sanitize in
*address*)
    ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
    UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
    export ASAN_OPTIONS UBSAN_OPTIONS
    # The luajit command is not built with the sanitizer: its run-time library must be there before our module is.
    if [ "$1" = luajit ]; then
        LD_PRELOAD=$("${CC:-cc}" -print-file-name=libasan.so) exec env "$@"
        exit 1
    fi
    ;;
*thread*)
    # Its shadow memory may lie where the kernel puts things at random: keep the kernel from that where we may.
    setarch -R true 2>/dev/null && set -- setarch -R "$@"
    ;;
esac
if [ -n "${LJINSPECT_VALGRIND:-}" ]; then
    needs_command valgrind " (Debian: valgrind)"
    case $1 in
    *.sh) skip "a script is not run by valgrind" ;;
    esac
    set -- valgrind --quiet --smc-check=all --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=99 \
        "--suppressions=$source/tests/valgrind.supp" "$@"
fi
case $1 in
luajit | *.sh) exec "$@" ;;
*) exec $LJINSPECT_EMULATOR "$@" ;;
esac
