#!/bin/bash
# `ljinspect run` on programs that people have: what they type, what is printed, and that nothing else changes.
# Environment: LJINSPECT_BUILD, LJINSPECT_DEBS as for nginx/run.sh. Exit code: 0 all is well, 1 something is not.
set -u
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../report.sh
. "$here/../report.sh"
# shellcheck source-path=SCRIPTDIR source=../programs.sh
. "$here/../programs.sh"
embed=$LJINSPECT_BUILD/tests/hosts/embed
unset LUA_PATH LUA_CPATH LUA_INIT LJINSPECT_HOOKS_FILE

cp "$here/../embed/work.lua" "$here/../embed/cpp.lua" .
cat >hooks.lua <<'LUA'
local ljinspect = require "ljinspect"
ljinspect.set_hook("work.lua", 6, nil, function(info)
    io.stderr:write("HIT in vm " .. info.uv.number .. "\n")
    return true -- once in each VM
end)
LUA
cat >app.lua <<'LUA'
local function greet(name, n)
    local text = "hello, " .. name
    local length = #text * n
    return length
end

local sum = 0
for n = 1, 20 do
    sum = sum + greet("world", n)
end
print(sum, os.getenv("LUA_INIT"), os.getenv("LD_PRELOAD") and "preloaded", ...)
os.exit(sum == 2520 and 7 or 1)
LUA

# ---- The luajit command, which has LuaJIT inside ----

for luajit in luajit "$LJINSPECT_DEBS/usr/bin/luajit"; do
    scenario "a breakpoint in a script, $(basename "$(dirname "$luajit")")/luajit"
    export LUA_PATH="$LJINSPECT_DEBS/usr/share/luajit-2.1.0-beta3/?.lua;;"
    plainly env LD_PRELOAD=libm.so.6 "$luajit" app.lua an argument
    inspected -b app.lua:4 -n 2 -- "$luajit" app.lua an argument
    shows "each hit shows where, the locals and the stack" \
        'ljinspect: breakpoint app.lua:4, hit 1: app.lua:4 (greet)' \
        '    name = "world"' \
        '    n = 1' \
        '    text = "hello, world"' \
        '    length = 12' \
        '    stack traceback:' \
        "      app.lua:4: in function 'greet'" \
        '      app.lua:9: in main chunk' \
        'ljinspect: breakpoint app.lua:4, hit 2: app.lua:4 (greet)' \
        'ljinspect: breakpoint app.lua:4 removed after 2 hits'
    is "no more than was asked for" "$(count ', hit ')" 2
    same

    scenario "with a LUA_INIT of the user's, $(basename "$(dirname "$luajit")")/luajit"
    export LUA_INIT='init = "done"; io.write("from LUA_INIT\n")'
    plainly env LD_PRELOAD=libm.so.6 "$luajit" app.lua
    inspected -b app.lua:4 -n 1 -- "$luajit" app.lua
    is "the breakpoint is hit" "$(count ', hit ')" 1
    same
    echo 'io.write("from a file\n")' >init.lua
    export LUA_INIT=@init.lua
    plainly env LD_PRELOAD=libm.so.6 "$luajit" app.lua
    inspected -b app.lua:4 -n 1 -- "$luajit" app.lua
    same
    export LUA_INIT='error("wrong")'
    plainly "$luajit" app.lua
    inspected -b app.lua:4 -- "$luajit" app.lua
    same
    unset LUA_INIT

    scenario "luajit -E, which ignores the environment, $(basename "$(dirname "$luajit")")/luajit"
    plainly env LD_PRELOAD=libm.so.6 "$luajit" -E app.lua
    inspected -v -b app.lua:4 -- "$luajit" -E app.lua
    is "is not attached to, and told so on request" "$(cat err)" "ljinspect: $luajit used no LuaJIT that can be attached to"
    same
    # What it starts is attached to, and finds LUA_INIT as it was.
    echo 'os.execute((...) .. " app.lua inner")' >outer.lua
    plainly env LD_PRELOAD=libm.so.6 "$luajit" -j off -E outer.lua "$luajit"
    inspected -b app.lua:4 -n 1 -- "$luajit" -j off -E outer.lua "$luajit"
    is "a luajit that it starts is hit" "$(count ', hit 1')" 1
    same
    unset LUA_PATH
done

scenario "other ways to run code"
echo 'local x = ... print(x)' >chunk.lua
for how in "-e print(1)" "-l app" "- a" "-jv app.lua" "-i -e os.exit(3)"; do
    # shellcheck disable=SC2086
    plainly env LD_PRELOAD=libm.so.6 luajit $how
    # shellcheck disable=SC2086
    inspected -b app.lua:4 -n 1 -- luajit $how
    is "luajit $how: exit status" "$code" "$plain_code"
    cmp -s plain.out out || [ "$how" = "-jv app.lua" ] || not_ok "luajit $how: same output" "$(diff plain.out out)"
done

scenario "a hooks file, and breakpoints with it"
plainly env LD_PRELOAD=libm.so.6 luajit app.lua
cat >app-hooks.lua <<'LUA'
local dbg = require "resty.inspect.dbg" -- as if it were installed
dbg.unset_all()                         -- concerns the hooks of hooks files
dbg.set_hook("app.lua", 3, nil, function(info)
    io.stderr:write("HIT ", dbg.getname(info.finfo), " n=", info.vals.n, "\n")
    return info.vals.n == 5
end)
LUA
inspected -f app-hooks.lua -b app.lua:4 -n 3 -- luajit app.lua
shows "both are hit" "applied: 2 hooks: app.lua#4 (pending), app.lua#3 (pending)" "HIT app.lua:3 (greet) n=1" ", hit 1" "HIT" ", hit 2"
is "as often as asked for" "$(count '^HIT'), $(count ', hit ')" "5, 3"
same

scenario "a line without code"
plainly env LD_PRELOAD=libm.so.6 luajit app.lua
inspected -b app.lua:6 -b app.lua:400 -b other.lua:1 -- luajit app.lua
is "nothing is hit" "$(count ', hit ')" 0
same
# os.exit() does not close the VM. At its end the line engine finds only what is still in use, a function of a module, say.
sed '$d' app.lua >returns.lua
echo 'module_of_returns = greet' >>returns.lua
inspected -b returns.lua:6 -b returns.lua:400 -b other.lua:1 -- luajit returns.lua
shows "it is told, with the nearest, when the VM is closed" \
    "ljinspect: breakpoint returns.lua:6: there is no code on that line; the nearest"
shows "also beyond the end" "ljinspect: breakpoint returns.lua:400: there is no code on that line; the nearest is"
is "nothing of files that were not loaded" "$(count 'other.lua')" 0
inspected -b work.lua:3 -- "$embed/embed" many 20 work.lua
is "or as soon as the file is loaded, and once in a process" "$(<err)" \
    "ljinspect: breakpoint work.lua:3: there is no code on that line; the nearest are 2 and 5"

scenario "the hooks file comes while the program runs"
cat >slow.lua <<'LUA'
local function step(n) return n + 1 end
local n, t = 0, os.time()
while not go and os.time() - t < 20 do n = step(n) end
print(go or "never")
LUA
rm -f later.lua
(sleep 0.7; printf 'require "ljinspect".set_hook("slow.lua", 1, nil, function() go = "came" end)' >later.new; mv later.new later.lua) &
inspected -f later.lua -b nothing.lua:1 -- luajit slow.lua
is "it is applied" "$(cat out)" came
shows "and the start has said that it was missing" "ljinspect: hooks file later.lua is not there yet" "watching hooks file" "applied"

scenario "the library by itself, its hooks file named from where the program starts"
mkdir -p elsewhere
echo 'io.stderr:write("applied in ", os.getenv("PWD"), "\n")' >by-itself.lua
with_luajit luajit env LD_PRELOAD="$LJINSPECT_BUILD/libljinspect-preload.so" LJINSPECT_HOOKS_FILE=by-itself.lua \
    "$embed/embed" elsewhere elsewhere ../work.lua >out 2>err
is "it is applied, though the program changes its directory" "$(count '^applied in ')" 1
is "and the program's result is its own" "$(<out)" "vm 1: 20100"

scenario "a program that starts others"
plainly sh -c 'luajit app.lua; luajit -e "os.execute([[luajit app.lua; echo \$?]])"'
sed -i 's/preloaded/-/' plain.out
inspected -b app.lua:4 -n 1 -- sh -c 'luajit app.lua; luajit -e "os.execute([[luajit app.lua; echo \$?]])"'
is "those are attached to as well, each by itself" "$(count ', hit 1')" 2
is "their output is the same" "$(sed 's/preloaded/nil/' out)" "$(sed 's/\tnil\tnil/\tnil\tnil/' plain.out)"

# ---- Programs that embed LuaJIT ----

for which in luajit luajit2; do
    scenario "a C program, $which"
    with_luajit $which plainly "$embed/embed" once work.lua
    with_luajit $which inspected -b work.lua:6 -n 1 -- "$embed/embed" once work.lua
    shows "a hit" ', hit 1: work.lua:6 (add)' '    next = 1' '    number (upvalue) = 1'
    same

    scenario "a C program that opens only some libraries, $which"
    with_luajit $which plainly "$embed/embed" bare work.lua
    with_luajit $which inspected -b work.lua:6 -n 1 -- "$embed/embed" bare work.lua
    shows "a hit" ', hit 1: work.lua:6 (add)' '    next = 1'
    same

    scenario "a plug-in that keeps its LuaJIT to itself, $which"
    with_luajit $which plainly "$embed/plugin" "$embed/embed_plugin.so" once work.lua
    with_luajit $which inspected -b work.lua:6 -n 1 -- "$embed/plugin" "$embed/embed_plugin.so" once work.lua
    shows "a hit" ', hit 1: work.lua:6 (add)' '    next = 1'
    same

    scenario "a C++ program, exceptions thrown through Lua, $which"
    with_luajit $which plainly "$embed/host_cpp" cpp.lua
    with_luajit $which inspected -b cpp.lua:5 -- "$embed/host_cpp" cpp.lua
    is "three hits" "$(count ', hit [123]: cpp.lua:5')" 3
    shows "the message is a local" '    message = "C++ exception"'
    same

    scenario "3000 VMs, one after the other, $which"
    with_luajit $which plainly "$embed/embed" many 3000 work.lua
    with_luajit $which inspected -f hooks.lua -- "$embed/embed" many 3000 work.lua
    is "each is hit" "$(grep -oE 'HIT in vm [0-9]+$' err | sort -u | wc -l)" 3000
    same

    scenario "500 VMs at the same time, $which"
    with_luajit $which plainly "$embed/embed" keep 500 work.lua
    with_luajit $which inspected -f hooks.lua -- "$embed/embed" keep 500 work.lua
    is "each is hit" "$(grep -oE 'HIT in vm [0-9]+$' err | sort -u | wc -l)" 500
    is "one watcher is enough" "$(count 'no notification')" 0
    same

    scenario "16 threads with a VM each, $which"
    with_luajit $which plainly "$embed/embed" threads 16 work.lua
    with_luajit $which inspected -f hooks.lua -b work.lua:5 -n 0 -- "$embed/embed" threads 16 work.lua
    is "each is hit, each time" "$(count 'breakpoint work.lua:5, hit')" 3200
    is "and by the hooks file" "$(grep -oE '(HIT in vm )[0-9]+' err | sort -u | wc -l)" 16
    is "the output is unchanged" "$(<out)" "$(<plain.out)"

    scenario "a child process, $which"
    with_luajit $which plainly "$embed/embed" fork work.lua
    with_luajit $which inspected -b work.lua:6 -n 0 -- "$embed/embed" fork work.lua
    is "is hit like its parent" "$(count ', hit ')" 400
    same
done

scenario "a plug-in that is closed and opened again"
with_luajit luajit plainly "$embed/plugin" -3 "$embed/embed_plugin.so" once work.lua
with_luajit luajit inspected -b work.lua:6 -n 0 -- "$embed/plugin" -3 "$embed/embed_plugin.so" once work.lua
is "is hit each time" "$(count ', hit ')" 600
same

# ---- What does not work, and is said ----

scenario "programs out of reach"
for inside in "$embed/embed_inside" "$embed/embed_static"; do
    if [ ! -e "$inside" ]; then
        skip "$(basename "$inside")" "no static LuaJIT to link it with"
        continue
    fi
    inspected -b work.lua:6 -- "$inside" once work.lua
    is "$(basename "$inside"): exit status" "$code" 126
    is "$(basename "$inside"): was not run" "$(<out)" ""
done
inspected -b work.lua:6 -- "$embed/embed_inside" once work.lua
like "LuaJIT inside" "$(<err)" 'has LuaJIT linked into it, where it cannot be reached from outside'
inspected -b work.lua:6 -- "$embed/embed_static" once work.lua
like "static" "$(<err)" 'is a static executable: no library can be loaded into it'

scenario "programs without LuaJIT"
plainly ls -l "$here"
inspected -v -b a.lua:1 -- ls -l "$here"
is "are told so once, on request" "$(<err)" "ljinspect: ls used no LuaJIT that can be attached to"
same
inspected -b a.lua:1 -- ls -l "$here"
is "and not without" "$(<err)" ""
same
plainly bash -c 'cat /dev/null; ls /; exit 3'
inspected -v -b a.lua:1 -- bash -c 'cat /dev/null; ls /; exit 3'
is "not by the programs they start" "$(count 'used no LuaJIT')" 1
same

plainly bash -c 'exec 3>three 200>two-hundred 201>&200; echo mine >&3; exit 4'
mv three three.plain
inspected -v -b a.lua:1 -- bash -c 'exec 3>three 200>two-hundred 201>&200; echo mine >&3; exit 4'
is "nothing is written to files that they open by number" "$(<three)$(<two-hundred)" "$(<three.plain)"
same

scenario "set-user-id programs"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work"
    cp "$(command -v env)" set-uid-env && chmod 4755 set-uid-env
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    code=0
    "${as_nobody[@]}" "$ljinspect" run -b a.lua:1 -- ./set-uid-env >out 2>err || code=$?
    is "are refused" "$code $(<err)" \
        "126 ljinspect: ./set-uid-env runs with another user's or group's rights: it cannot be attached to"
    "${as_nobody[@]}" "$ljinspect" run -v -b a.lua:1 -- sh -c './set-uid-env >/dev/null; echo $?' >out 2>err
    is "and undisturbed where another program starts them" "$(<out) $(count set-uid)" "0 0"

    # Even with the libraries inside, which an administrator may have put there for all programs, they listen to no variable:
    # each of these would tell that it did.
    cat >set-uid-host.c <<'C'
#include <stdio.h>
#include <unistd.h>
int main(void) { return printf("%s\n", getuid() == geteuid() ? "as itself" : "as another") < 0; }
C
    cp "$LJINSPECT_BUILD/libljinspect-preload.so" "$LJINSPECT_BUILD/libljinspect.so" .
    cc -o set-uid-host set-uid-host.c -Wl,--no-as-needed ./libljinspect-preload.so -Wl,-rpath,"$PWD"
    cp "$(command -v luajit)" set-uid-luajit
    echo 'print "the hooks file was run"' >told.lua
    chmod 755 set-uid-host set-uid-luajit
    chmod 644 told.lua
    listens() {
        LJINSPECT_HOOKS_FILE=$PWD/told.lua LJINSPECT_BREAKPOINTS=a.lua:1 LJINSPECT_VERBOSE=1 LJINSPECT_ENGINE=nonsense \
            "${as_nobody[@]}" "$@" >out 2>&1
        grep -cE "the hooks file was run|used no LuaJIT|nonsense" out || true
    }
    watch='local i = package.loadlib("./libljinspect.so", "luaopen_ljinspect")() print(pcall(i.watch, { insecure = true }))'
    is "the libraries listen to variables" "$(listens ./set-uid-host) $(listens ./set-uid-luajit -e "$watch")" "1 2"
    chmod 4755 set-uid-host set-uid-luajit
    listens ./set-uid-host >/dev/null
    if [ "$(<out)" = "as another" ] || grep -q "as another" out; then
        is "but not in set-user-id programs" "$(listens ./set-uid-host) $(listens ./set-uid-luajit -e "$watch")" "0 0"
    else
        skip "variables in set-user-id programs" "the file system of $work does not honour the bit"
    fi
else
    skip "set-user-id programs" "only root can make one"
fi

scenario "wrong use"
refused() { # STATUS MESSAGE OPTION...
    local status=$1 message=$2
    shift 2
    inspected "$@"
    is "$*: exit status" "$code" "$status"
    like "$*: message" "$(head -n 1 err)" "$message"
    is "$*: nothing ran" "$(<out)" ""
}
touch unreadable.lua file.txt
mkdir -p dir
refused 127 '^ljinspect: no-such-program: No such file' -b a.lua:1 -- no-such-program
refused 126 '^ljinspect: ./file.txt: Permission denied' -b a.lua:1 -- ./file.txt
refused 126 '^ljinspect: ./dir: Permission denied' -b a.lua:1 -- ./dir
refused 2 '^ljinspect: -b a.lua: FILE:LINE expected' -b a.lua -- echo ran
refused 2 '^ljinspect: -b a.lua:0: FILE:LINE expected' -b a.lua:0 -- echo ran
refused 2 '^ljinspect: -b a.lua:x1: FILE:LINE expected' -b a.lua:x1 -- echo ran
refused 2 '^ljinspect: -b :1: FILE:LINE expected' -b :1 -- echo ran
refused 2 '^ljinspect: -b a.lua:99999999999999999999: FILE:LINE' -b a.lua:99999999999999999999 -- echo ran
refused 2 '^ljinspect: -n ten: a count expected' -b a.lua:1 -n ten -- echo ran
refused 2 '^ljinspect: hooks file nowhere/hooks.lua: No such file or directory' -f nowhere/hooks.lua -- echo ran
refused 2 '^ljinspect: hooks file dir/: Is a directory' -f dir/ -- echo ran
refused 2 '^ljinspect: no program given' -b a.lua:1
refused 2 '^ljinspect: neither -b nor -f given' -- echo ran
refused 2 '^ljinspect: neither -b nor -f given' -v -- echo ran
refused 2 'unrecognized option' --nonsense -- echo ran
if [ "$(id -u)" -ne 0 ]; then
    chmod 0 unreadable.lua
    refused 2 '^ljinspect: hooks file unreadable.lua: Permission denied' -f unreadable.lua -- echo ran
fi
inspected --help
is "--help: exit status" "$code" 0
like "--help shows an example" "$(<out)" '^  ljinspect run -b app.lua:6 -- luajit app.lua$'
is "--version" "$("$ljinspect" --version)" "$("$ljinspect" run --version)"
like "without a command" "$("$ljinspect" 2>&1 || true)" '^  run  '
like "an unknown command" "$("$ljinspect" walk 2>&1 || true)" "^ljinspect: unknown command 'walk'"

scenario "the hooks file is refused where others could write it"
cp app-hooks.lua open-hooks.lua
chmod 666 open-hooks.lua
plainly env LD_PRELOAD=libm.so.6 luajit app.lua
inspected -f open-hooks.lua -- luajit app.lua
shows "the log says why" "hooks file $work/open-hooks.lua refused: "
is "nothing of it runs" "$(count '^HIT')" 0
same

summary
