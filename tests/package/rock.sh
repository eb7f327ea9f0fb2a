#!/bin/bash
# Build and install the rock with LuaRocks, from a copy of the tree, and use it under LuaJIT without another file of ours.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset LUA_PATH LUA_CPATH
export HOME=$dir

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

mkdir "$dir/source"
cd "$LJINSPECT_SOURCE"
cp -r CMakeLists.txt LICENSE cmake include src ./*.rockspec "$dir/source"
cd "$dir/source"
# As README says, but for where to.
command=$(grep -ohE 'luarocks make [^`]*' "$LJINSPECT_SOURCE/README.md") || fail "README.md says nothing of luarocks make"
echo "$command"
$command --tree "$dir/tree" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
cd "$dir"
rm -rf source

if [ ! -f tree/lib/lua/5.1/ljinspect.so ] || [ -L tree/lib/lua/5.1/ljinspect.so ]; then
    fail "the module is no file of its own: $(find tree -name '*.so')"
fi
(cd tree/share/lua/5.1 && find . -name '*.lua' | sort) >have
(cd "$LJINSPECT_SOURCE/src/lua" && find . -name '*.lua' | sort) >want
diff want have || fail "the tree's modules in Lua (<) are not those of the rock (>)"

eval "$(luarocks path --tree "$dir/tree" --lua-version 5.1)"
version=$(sed -n 's/^#define LJINSPECT_VERSION "\(.*\)"/\1/p' "$LJINSPECT_SOURCE/include/ljinspect.h")
for luajit in luajit "$LJINSPECT_DEBS/usr/bin/luajit"; do
    [ -n "$(command -v "$luajit")" ] || continue
    "$luajit" - "$dir/tree" "$version" <<'LUA' || fail "$luajit"
local found = assert(package.searchpath("ljinspect", package.cpath))
assert(found:sub(1, #arg[1]) == arg[1], found)
local ljinspect = require "ljinspect"
assert(ljinspect._VERSION == arg[2])
local seen
ljinspect.set_hook("app.lua", 2, nil, function(info) seen = info.vals.answer end)
assert(loadstring("local answer = 42\nreturn answer", "@app.lua"))()
assert(seen == 42)
assert(require("resty.inspect").init and require("apisix.inspect.dbg").set_hook)
LUA
    echo "$luajit: ok"
done
luarocks remove --tree "$dir/tree" --lua-version 5.1 ljinspect >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
