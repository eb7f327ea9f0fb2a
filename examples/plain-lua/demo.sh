#!/bin/bash
# Run app.lua, put hooks.lua into its way while it runs, take it away again, and check what came of it.
#
# Environment: LJINSPECT_BUILD, the build directory; default: build/. Exit status: 0 if all happened as announced.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${LJINSPECT_BUILD:-$PWD/build}
if [ ! -e "$build/lua/ljinspect.so" ]; then
    echo "no $build/lua/ljinspect.so: build first (make)" >&2
    exit 1
fi

# A hooks file runs code in the program, so it must lie where nobody else can write.
dir=$(mktemp -d)
app=
cleanup() {
    [ -z "$app" ] || kill "$app" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

shown=0
# Print what the program has printed meanwhile.
show() {
    local all
    all=$(wc -l <"$dir/out")
    sed -n "$((shown + 1)),${all}s/^/    /p" "$dir/out"
    shown=$all
}

count() { grep -c "$1" "$dir/out" || true; }
# Go on until `count PATTERN` has reached a number; at most 60 seconds, or till the program's end.
until_count() {
    local tries=0 running=yes
    while [ "$(count "$1")" -lt "$2" ]; do
        if [ $running = no ] || [ $((tries += 1)) -gt 600 ]; then
            show
            echo "FAILED: waited in vain for $2 lines with '$1'" >&2
            exit 1
        fi
        show
        sleep 0.1
        kill -0 "$app" 2>/dev/null || running=no # one more look at what it has printed
    done
    show
}
speed() { grep 'carts/s' "$dir/out" | sed -n "$1p" | awk '{print $2}'; }

say "1. A program runs: examples/plain-lua/app.lua. It prices shopping carts; LuaJIT compiles its loops."
export LJINSPECT_HOOKS_FILE=$dir/hooks.lua
export LUA_PATH="$PWD/src/lua/?.lua;${LUA_PATH:-;}" LUA_CPATH="$build/lua/?.so;${LUA_CPATH:-;}"
: >"$dir/out"
luajit examples/plain-lua/app.lua 14 >>"$dir/out" 2>&1 </dev/null &
app=$!
until_count 'carts/s' 3
before=$(speed 3)

say "2. While it runs, a hooks file appears: a breakpoint in price(), on line 23, for the customer carol."
sed -n '/set_hook/,$s/^/    > /p' examples/plain-lua/hooks.lua
echo
cp examples/plain-lua/hooks.lua "$dir/hooks.new"
mv "$dir/hooks.new" "$dir/hooks.lua"
until_count 'hook:     customer = carol' 2
reports=$(count 'carts/s')
until_count 'carts/s' $((reports + 2)) # the second one is wholly with the hook
armed=$(speed $((reports + 2)))

say "3. The hooks file goes, and its hook with it. The program was never stopped."
rm "$dir/hooks.lua"
until_count 'app: done' 1
after=$(speed 14)
status=0
wait "$app" || status=$?
app=

say "What happened"
printf '    %9d carts/s before the hook\n' "$before"
printf '    %9d carts/s while it was armed: each cart is a hit then\n' "$armed"
printf '    %9d carts/s after it had gone\n' "$after"

fail() {
    echo "FAILED: $1" >&2
    exit 1
}
[ $status -eq 0 ] || fail "the program ended with status $status"
[ "$(grep -c 'hook:     total = [0-9]' "$dir/out")" -eq 2 ] || fail "the locals were not seen"
[ "$(grep -c 'app.lua:30: in function' "$dir/out")" -ge 2 ] || fail "the traceback does not show the caller"
grep -q 'hooks.lua is gone: 1 hook removed' "$dir/out" || fail "the hook did not go with its file"
[ "$after" -gt $((before / 3)) ] || fail "the program did not get its speed back"
say "It worked: the locals of a live function were seen, and the program's results were the same all along."
