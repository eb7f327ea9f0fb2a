#!/bin/bash
# Do what README.md says. A code block below a line "<!-- file: NAME -->" is written to NAME; one below
# "<!-- run -->" is run by bash, in a directory of its own, line after line; the next block below "<!-- prints -->" is
# what must come of it. "..." in it stands for anything.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$LJINSPECT_BUILD" --prefix "$dir/prefix" >/dev/null
mkdir "$dir/tree"
export LUA_PATH="$dir/prefix/share/lua/5.1/?.lua;;"
LUA_CPATH="$(dirname "$(find "$dir/prefix" -name ljinspect.so)")/?.so;;"
PKG_CONFIG_PATH=$(dirname "$(find "$dir/prefix" -name ljinspect.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export LUA_CPATH PKG_CONFIG_PATH LD_LIBRARY_PATH

awk -v dir="$dir" '
    /^<!-- file: .* -->$/ { out = dir "/tree/" $3; next }
    /^<!-- run -->$/ { out = dir "/run" ++runs; next }
    /^<!-- prints -->$/ { out = dir "/prints" runs; next }
    /^```/ { inside = !inside && out != ""; if (inside) printf "" >out; else if (out != "") { close(out); out = "" }; next }
    inside { print >>out }
' "$LJINSPECT_SOURCE/README.md"

[ -e "$dir/run1" ] || { echo "README.md has nothing to run" >&2; exit 1; }
for run in "$dir"/run*; do
    n=${run##*/run}
    echo "-- README.md, run $n"
    cat "$run"
    (cd "$dir/tree" && timeout 60 bash -eu "$run") >"$dir/got" 2>&1 </dev/null || { cat "$dir/got"; exit 1; }
    cat "$dir/got"
    [ -e "$dir/prints$n" ] || continue
    # Each expected line must come, in this order.
    luajit - "$dir/prints$n" "$dir/got" <<'LUA'
local expected, got = io.lines(arg[1]), io.open(arg[2]):read("*a")
local at = 1
for line in expected do
    local pattern = line:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".-")
    local first, last = got:find(pattern, at)
    if not first then error("README.md promises this line: " .. line, 0) end
    at = last + 1
end
LUA
done
