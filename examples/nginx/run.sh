#!/bin/bash
# A breakpoint in a running nginx worker: see README.md.
#
# Environment:
#   LJINSPECT_BUILD   build directory: has lua/ljinspect.so; default: build/ at the top of the source
#   LJINSPECT_DEBS    directory into which Debian's nginx packages were unpacked; default: the system's nginx
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${LJINSPECT_DEBS:-}
module=${LJINSPECT_BUILD:-$here/../../build}/lua/ljinspect.so

die() {
    echo "run.sh: $1" >&2
    exit 1
}

say() { printf '\n== %s\n' "$1"; }

# Show a command as it would be typed, and run it.
run() {
    local word line='$'
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=-]*) word="'$word'" ;; esac
        line="$line $word"
    done
    echo "$line"
    "$@"
}

# ---- What is needed ----

[ -e "$module" ] || die "no $module: build first, or name the build directory in LJINSPECT_BUILD"
module=$(cd "$(dirname "$module")" && pwd)/ljinspect.so
command -v curl >/dev/null || die "curl is missing (Debian: apt-get install curl)"
if [ -n "$root" ]; then
    root=$(realpath -m "$root")
    nginx=$root/usr/sbin/nginx
    for dir in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
        if [ -d "$dir" ]; then export LD_LIBRARY_PATH="$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; fi
    done
else
    PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/openresty/nginx/sbin
    nginx=$(command -v nginx) || die "nginx is missing (Debian: apt-get install nginx libnginx-mod-http-lua)"
fi
settings="daemon off;"
if ! "$nginx" -V 2>&1 | grep -qE 'ngx_lua|lua-nginx-module'; then # OpenResty has the module built in, Debian loads it
    modules=$root/usr/lib/nginx/modules
    [ -e "$modules/ngx_http_lua_module.so" ] ||
        die "nginx's Lua module is missing (Debian: apt-get install libnginx-mod-http-lua)"
    for name in ngx_http_lua_module ndk_http_module; do # the second is loaded first
        if [ -e "$modules/$name.so" ]; then settings="load_module $modules/$name.so; $settings"; fi
    done
fi
if [ "$(id -u)" -eq 0 ]; then settings="$settings user root;"; fi # the temporary directory is ours alone

# ---- A directory for nginx, removed at the end ----

umask 022
prefix=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-example.XXXXXX")
pid=''
cleanup() {
    if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2>/dev/null || true
        wait "$pid" || true
    fi
    rm -rf "$prefix"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

port=8080
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done # somebody listens there
mkdir "$prefix/lib" "$prefix/tmp"
cp "$here/app.lua" "$prefix"
sed "s/127.0.0.1:8080/127.0.0.1:$port/" "$here/nginx.conf" >"$prefix/nginx.conf"
ln -s "$module" "$prefix/lib/ljinspect.so"
if [ -n "$root" ]; then ln -s "$root/usr/share/lua/5.1/resty" "$prefix/lib/resty"; fi

# Wait until a command is true, 10 seconds at most.
wait_for() { # what, command...
    local what=$1 i
    shift
    for ((i = 0; i < 500; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    cat "$prefix/error.log" >&2
    die "$what: not within 10 seconds"
}

# ---- The show ----

say "nginx starts. Its worker watches $prefix/hooks.lua, which is not there yet."
"$nginx" -p "$prefix/" -c "$prefix/nginx.conf" -e "$prefix/error.log" -g "$settings" &
pid=$!
url="http://127.0.0.1:$port/price?to=us&kg=12"
wait_for "nginx serves" curl -sf "$url"

say "A request. The answer should be 15.10: where does it go wrong?"
run curl -s "$url"

say "A hooks file is put in place: log the locals of price() when line 9 of app.lua runs."
sed 's/^/    /' "$here/hooks.lua"
run cp "$here/hooks.lua" "$prefix/hooks.lua"
sleep 0.5 # the worker's watcher notices in a few milliseconds

say "The same request again: the same answer."
run curl -s "$url"

say "What nginx's error log has to say now:"
wait_for "the hook is hit" grep 'country=' "$prefix/error.log"
grep -E 'applied|country=' "$prefix/error.log"
echo
echo "So the country is 'us', there is only a rate for 'US', and the parcel gets the rate for the rest of the world."

say "The hooks file is removed. The next request is served at full speed, and logs nothing of its own."
run rm "$prefix/hooks.lua"
sleep 0.5
run curl -s "$url"
wait_for "the hook is removed" grep 'is gone' "$prefix/error.log"
grep 'is gone' "$prefix/error.log"
[ "$(grep -c 'country=' "$prefix/error.log")" -eq 1 ] || die "the hook should have been hit once"

say "nginx stops."
