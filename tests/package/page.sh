#!/bin/bash
# Do what a page of the documentation says: page.sh PAGE. The line above a code block tells what it is:
#
#   <!-- file: NAME -->       is written to NAME, in a directory of the page's own
#   <!-- run -->              is run by bash, in that directory, line after line
#   <!-- run: luajit -->      is run by luajit, there
#   <!-- run: repository -->  is run by bash at the top of the repository, in a tree laid over "/" (over.sh): what it installs is
#                             gone afterwards. "; then: COMMAND" behind it is run there too, and not shown to readers
#   <!-- prints -->           must come of the block that was run last. "..." in it stands for anything
#   <!-- not run: REASON -->  is shown and no more; blocks.sh lists these, and fails where a block has none of these lines
#
# "<!-- run, not shown", commands, and "-->" alone on a line: what a page needs and readers do not. In a block below
# "<!-- run: for PID -->" the number 4711 is that in the file `pid`.
#
# With LJINSPECT_DEBS set, `nginx` and `nvim` are those unpacked there.
set -euo pipefail
page=$1
dir=$(mktemp -d)
cleanup() {
    if [ -s "$dir/tree/nginx.pid" ]; then kill -QUIT "$(<"$dir/tree/nginx.pid")" || true; fi
    if [ -s "$dir/tree/pid" ]; then kill "$(<"$dir/tree/pid")" || true; fi
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

needs=bash
if grep -q '^nginx ' "$LJINSPECT_SOURCE/$page"; then needs=nginx; fi
if grep -q '^ *nvim ' "$LJINSPECT_SOURCE/$page"; then needs=nvim; fi
if ! command -v "$needs" >/dev/null; then
    printf '\n*** NOT TESTED: %s. Missing: %s\n\n' "$page" "$needs" >&2
    exit 77
fi

# ---- The page ----

awk -v dir="$dir" '
    function runs_next() { return dir "/run" sprintf("%02d", ++runs) }
    /^<!-- file: .* -->$/ { out = dir "/tree/" $3; to = out; sub("/[^/]*$", "", to); system("mkdir -p " to); next }
    /^<!-- run(: for PID)? -->$/ { out = runs_next() ($3 == "for" ? ".pid" : ""); next }
    /^<!-- run: luajit -->$/ { out = runs_next() ".luajit"; next }
    /^<!-- run: repository(; then: .*)? -->$/ {
        out = runs_next() ".repository"
        if (sub(/^.*; then: /, "") && sub(/ -->$/, "")) print >(out ".then")
        next
    }
    /^<!-- run, not shown$/ { out = runs_next(); printf "" >out; hidden = 1; next }
    hidden && /^-->$/ { close(out); out = ""; hidden = 0; next }
    hidden { print >>out; next }
    /^<!-- prints -->$/ { out = dir "/prints" sprintf("%02d", runs); next }
    /^```/ { inside = !inside && out != ""; if (inside) printf "" >out; else if (out != "") { close(out); out = "" }; next }
    inside { print >>out }
' "$LJINSPECT_SOURCE/$page"
# The modules of an nginx that is unpacked are loaded by its command.
if [ -x "$root/usr/sbin/nginx" ] && [ -e "$dir/tree/nginx.conf" ]; then sed -i '/^load_module /d' "$dir/tree/nginx.conf"; fi

# ---- What is run where ----

# In the repository, with nothing of ours in the environment, as somebody does who has just cloned it.
in_repository() { # FILE
    cat >"$dir/repository.sh" <<END
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/zz-page
command -v sudo >/dev/null || { printf '#!/bin/sh\nexec "\$@"\n' >/usr/local/bin/sudo && chmod +x /usr/local/bin/sudo; }
$(cat "$1")
$(cat "$1.then" 2>/dev/null)
END
    (cd "$LJINSPECT_SOURCE" && env -i CMAKE_FLAGS="${CMAKE_FLAGS:-}" LD_LIBRARY_PATH= timeout 900 \
        "$LJINSPECT_SOURCE/tests/package/over.sh" "$dir/over" bash "$dir/repository.sh")
}
mkdir "$dir/over"
left_out=0

run_block() { # FILE
    case $1 in
    *.luajit) (cd "$dir/tree" && timeout 60 luajit "$1") ;;
    *.repository) in_repository "$1" ;;
    *.pid) sed -i "s/\<4711\>/$(<"$dir/tree/pid")/g" "$1" && (cd "$dir/tree" && timeout 60 bash -eu "$1") ;;
    *) (cd "$dir/tree" && timeout 60 bash -eu "$1") ;;
    esac
}

ls "$dir"/run01* >/dev/null 2>&1 || { echo "$page has nothing to run" >&2; exit 1; }
for run in "$dir"/run*; do
    case $run in *.then) continue ;; esac
    n=${run##*/run} n=${n%%.*}
    echo "-- $page, run $n"
    cat "$run"
    status=0
    run_block "$run" >"$dir/got" 2>&1 </dev/null || status=$?
    if [ $status -eq 77 ]; then
        left_out=$((left_out + 1))
        printf '\n*** NOT TESTED: this block. It takes root, and a kernel that lays a tree over /.\n\n' >&2
        continue
    fi
    [ $status -eq 0 ] || { cat "$dir/got"; exit 1; }
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
[ "$left_out" -eq 0 ] || exit 77 # with LJINSPECT_NO_SKIP, too: no package helps
