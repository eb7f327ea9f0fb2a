#!/bin/bash
# The preset for OpenResty: the modules lie where OpenResty looks for them, and find the library from there. Built with the
# line engine alone, which is compiled sooner.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset LUA_PATH LUA_CPATH

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

cd "$LJINSPECT_SOURCE"
grep -q 'cmake --preset openresty && cmake --build --preset openresty && sudo cmake --install build-openresty$' README.md ||
    fail "README.md has other commands"
cmake --preset openresty -B "$dir/build" --log-level=WARNING -DCMAKE_BUILD_TYPE=Debug -DLJINSPECT_TRAP=OFF \
    -DLJINSPECT_STATIC=OFF -DLJINSPECT_MANUAL=OFF >/dev/null
cmake --build "$dir/build" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
DESTDIR=$dir/root cmake --install "$dir/build" >/dev/null
site=$dir/root/usr/local/openresty/site
(cd "$site" && find . ! -type d | sort)
for file in lualib/ljinspect.so lualib/resty/inspect.lua lualib/resty/inspect/dbg.lua lualib/apisix/inspect/dbg.lua \
    lib/libljinspect.so.0 lib/libljinspect-preload.so bin/ljinspect include/ljinspect.h; do
    [ -e "$site/$file" ] || fail "no site/$file"
done
# As OpenResty's build sets them: modules of Lua and of C, of the site.
LUA_PATH="$site/lualib/?.lua;$site/lualib/?/init.lua" LUA_CPATH="$site/lualib/?.so" luajit -e '
    assert(require("ljinspect").status().engine == "line")
    assert(require("resty.inspect").init and require("apisix.inspect.dbg").set_hook)'
printf 'local n = 42\nprint(n)\n' >"$dir/app.lua"
"$site/bin/ljinspect" run -b app.lua:2 -- luajit "$dir/app.lua" >"$dir/got" 2>&1 || fail "$(cat "$dir/got")"
grep -q 'n = 42' "$dir/got" || fail "$(cat "$dir/got")"
echo ok
