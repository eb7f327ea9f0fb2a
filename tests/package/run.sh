#!/bin/bash
# Install to a directory, move it, and use it from there as somebody else would: from Lua, with CMake, with pkg-config,
# shared and static, from C and C++.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/here
unset LUA_PATH LUA_CPATH

step() { echo "-- $*"; }
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

step "install"
cmake --install "$LJINSPECT_BUILD" --prefix "$dir/there" >/dev/null
mv "$dir/there" "$prefix"
(cd "$prefix" && find . ! -type d | sort)
libdir=$(dirname "$(find "$prefix" -name libljinspect.a)")
if grep -rlIF -e "$LJINSPECT_SOURCE" -e "$dir/there" "$prefix"; then fail "these name the directory of the build"; fi

step "the Lua module is a relative link to the library"
link=$(readlink "$libdir/lua/5.1/ljinspect.so")
[ "$link" = ../../libljinspect.so.0 ] || fail "it is '$link'"
for luajit in luajit "$LJINSPECT_DEBS/usr/bin/luajit"; do
    [ -n "$(command -v "$luajit")" ] || continue
    LUA_CPATH="$libdir/lua/5.1/?.so" LUA_PATH="$prefix/share/lua/5.1/?.lua" "$luajit" -e '
        assert(require("ljinspect").status().version == require("ljinspect")._VERSION)
        assert(require("apisix.inspect.dbg").set_hook and require("resty.inspect").init)'
done

step "manual pages, of all functions"
for page in man5/ljinspect-hooks.5 man3/ljinspect-lua.3 man7/ljinspect-messages.7 man3/ljinspect.3 man3/ljinspect_set_hook.3; do
    [ -s "$prefix/share/man/$page" ] || fail "no share/man/$page"
done
for name in $(nm -D --defined-only "$libdir/libljinspect.so" | awk '{print $3}'); do
    [ -s "$prefix/share/man/man3/$name.3" ] || fail "no manual page of $name"
done

step "annotations for editors, and not among the modules"
(cd "$LJINSPECT_SOURCE/editors/lua" && find . -name '*.lua') | while read -r file; do
    cmp "$LJINSPECT_SOURCE/editors/lua/$file" "$prefix/share/ljinspect/meta/$file" || exit 1
done
[ ! -e "$prefix/share/lua/5.1/ljinspect.lua" ] || fail "a module without code would be found"

if [ -x "$prefix/bin/ljinspect" ]; then
    step "manual page, and completion where the shells look"
    for file in man/man1/ljinspect.1 bash-completion/completions/ljinspect zsh/site-functions/_ljinspect \
        fish/vendor_completions.d/ljinspect.fish; do
        [ -s "$prefix/share/$file" ] || fail "no share/$file"
    done
fi

# build SOURCE NAME OPTION...
build() {
    local source=$1 to=$dir/$2
    shift 2
    cmake -S "$source" -B "$to" --log-level=WARNING "$@" >/dev/null
    cmake --build "$to" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
}

step "find_package, a C and C++ project"
build "$here" outside -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug
"$dir/outside/host-shared" "$libdir/lua/5.1"
"$dir/outside/host-static"
readelf -d "$dir/outside/host-shared" | grep -q 'NEEDED.*libljinspect.so.0' || fail "host-shared does not use the library"
if readelf -d "$dir/outside/host-static" | grep -q 'NEEDED.*libljinspect'; then fail "host-static is not static"; fi

step "find_package, the example as a project of its own"
build "$LJINSPECT_SOURCE/examples/c-host" c-host -DCMAKE_PREFIX_PATH="$prefix"

step "add_subdirectory, with a LuaJIT of the host's own"
build "$here" inside -DLJINSPECT_SOURCE="$LJINSPECT_SOURCE"
"$dir/inside/host-shared" "$dir/inside/ljinspect/lua"
"$dir/inside/host-static"

# The linking is C++'s, for header.cpp.
use() {
    # shellcheck disable=SC2046
    cc -c -std=c99 -pedantic -Wall -Wextra -Werror $(pkg-config --cflags ljinspect) "$here/host.c" -o "$dir/host.o"
    # shellcheck disable=SC2046
    c++ -std=c++11 -pedantic -Wall -Wextra -Werror $(pkg-config --cflags ljinspect) "$dir/host.o" "$here/header.cpp" \
        $(pkg-config "$@" --libs ljinspect) -o "$dir/host"
}

export PKG_CONFIG_PATH=$libdir/pkgconfig
step "pkg-config, shared"
[ "$(pkg-config --modversion ljinspect)" = "$(sed -n 's/^#define LJINSPECT_VERSION "\(.*\)"/\1/p' \
    "$prefix/include/ljinspect.h")" ] || fail "wrong version"
use
LD_LIBRARY_PATH=$libdir "$dir/host" "$libdir/lua/5.1"

step "pkg-config, static"
rm -rf "$libdir"/libljinspect.so*
use --static
"$dir/host"
