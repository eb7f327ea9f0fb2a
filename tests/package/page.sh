#!/bin/bash
# Do what a page of the documentation says: page.sh PAGE. A code block below a line "<!-- file: NAME -->" is written to
# NAME; one below "<!-- run -->" is run by bash, in a directory of its own, line after line; the next block below
# "<!-- prints -->" is what must come of it. "..." in it stands for anything.
#
# With LJINSPECT_DEBS set, `nginx` and `nvim` are those unpacked there.
set -euo pipefail
page=$1
dir=$(mktemp -d)
cleanup() {
    if [ -e "$dir/tree/nginx.pid" ]; then kill -QUIT "$(<"$dir/tree/nginx.pid")" || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
umask 022
cmake --install "$LJINSPECT_BUILD" --prefix "$dir/prefix" >/dev/null
mkdir "$dir/tree" "$dir/bin"
export LUA_PATH="$dir/prefix/share/lua/5.1/?.lua;;"
LUA_CPATH="$(dirname "$(find "$dir/prefix" -name ljinspect.so)")/?.so;;"
PKG_CONFIG_PATH=$(dirname "$(find "$dir/prefix" -name ljinspect.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
PATH=$dir/bin:$dir/prefix/bin:$PATH
export LUA_CPATH PKG_CONFIG_PATH LD_LIBRARY_PATH PATH

# ---- Programs that are unpacked and not installed: commands that find what they need ----

root=${LJINSPECT_DEBS:-}
libraries=$LD_LIBRARY_PATH
for lib in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
    if [ -d "$lib" ]; then libraries=$libraries:$lib; fi
done
command_of() { # NAME PROGRAM-AND-ARGUMENTS VARIABLE=VALUE...
    local name=$1 program=$2
    shift 2
    {
        echo "#!/bin/sh"
        printf "export '%s'\n" "LD_LIBRARY_PATH=$libraries" "$@"
        echo "exec $program \"\$@\""
    } >"$dir/bin/$name"
    chmod +x "$dir/bin/$name"
}
if [ -x "$root/usr/sbin/nginx" ]; then
    settings=''
    for module in ndk_http_module ngx_http_lua_module; do
        settings="$settings load_module $root/usr/lib/nginx/modules/$module.so;"
    done
    # The directory belongs to who runs this.
    if [ "$(id -u)" -eq 0 ]; then settings="$settings user root;"; fi
    for lib in "$root"/usr/lib/*/lua/5.1; do cpath="$lib/?.so;$LUA_CPATH"; done
    command_of nginx "$root/usr/sbin/nginx -g '$settings'" "LUA_PATH=$root/usr/share/lua/5.1/?.lua;$LUA_PATH" \
        "LUA_CPATH=$cpath"
fi
if [ -x "$root/usr/bin/nvim" ]; then
    command_of nvim "$root/usr/bin/nvim -n -i NONE -u NONE" "VIMRUNTIME=$root/usr/share/nvim/runtime" "HOME=$dir"
fi

case $page in
docs/nginx.md) needs=nginx ;;
docs/neovim.md) needs=nvim ;;
*) needs=bash ;;
esac
if ! command -v "$needs" >/dev/null; then
    printf '\n*** NOT TESTED: %s. Missing: %s\n\n' "$page" "$needs" >&2
    exit 77
fi

# ---- The page ----

awk -v dir="$dir" '
    /^<!-- file: .* -->$/ { out = dir "/tree/" $3; to = out; sub("/[^/]*$", "", to); system("mkdir -p " to); next }
    /^<!-- run -->$/ { out = dir "/run" sprintf("%02d", ++runs); next }
    /^<!-- prints -->$/ { out = dir "/prints" sprintf("%02d", runs); next }
    /^```/ { inside = !inside && out != ""; if (inside) printf "" >out; else if (out != "") { close(out); out = "" }; next }
    inside { print >>out }
' "$LJINSPECT_SOURCE/$page"
# nginx was built to use directories of the system.
if [ -e "$dir/tree/nginx.conf" ]; then
    for what in client_body proxy fastcgi uwsgi scgi; do
        sed -i "s#^http {#&\n    ${what}_temp_path tmp;#" "$dir/tree/nginx.conf"
    done
fi

[ -e "$dir/run01" ] || { echo "$page has nothing to run" >&2; exit 1; }
for run in "$dir"/run*; do
    n=${run##*/run}
    echo "-- $page, run $n"
    cat "$run"
    (cd "$dir/tree" && timeout 60 bash -eu "$run") >"$dir/got" 2>&1 </dev/null || { cat "$dir/got"; exit 1; }
    cat "$dir/got"
    [ -e "$dir/prints$n" ] || continue
    # Each expected line must come, in this order.
    luajit - "$dir/prints$n" "$dir/got" "$page" <<'LUA'
local expected, got = io.lines(arg[1]), io.open(arg[2]):read("*a")
local at = 1
for line in expected do
    local pattern = line:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".-")
    local first, last = got:find(pattern, at)
    if not first then error(arg[3] .. " promises this line: " .. line, 0) end
    at = last + 1
end
LUA
done
