#!/bin/bash
# Lua code of a plug-in in a real Neovim: headless, with a hooks file and with breakpoints, on both LuaJITs.
# Environment: LJINSPECT_BUILD, LJINSPECT_DEBS as for nginx/run.sh. Exit code: 0 all is well, 1 something is not, 77 there
# is no Neovim.
set -u
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../report.sh
. "$here/../report.sh"
# shellcheck source-path=SCRIPTDIR source=../programs.sh
. "$here/../programs.sh"
unset LUA_PATH LUA_CPATH LUA_INIT LJINSPECT_HOOKS_FILE

nvim=$LJINSPECT_DEBS/usr/bin/nvim
if [ ! -x "$nvim" ]; then
    printf '\n*** NOT TESTED: ljinspect inside Neovim. Missing: %s\n\n' "$nvim" >&2
    exit 77
fi
export HOME=$work VIMRUNTIME=$LJINSPECT_DEBS/usr/share/nvim/runtime
edit=("$nvim" --headless -n -u NONE -i NONE --cmd "set rtp+=$here/plugin")

cat >hooks.lua <<'LUA'
local ljinspect = require "ljinspect"
ljinspect.set_hook("tidy.lua", 7, nil, function(info)
    io.stderr:write("HIT " .. ljinspect.getname(info.finfo) .. " removed=" .. info.vals.removed .. " in "
        .. vim.fn.expand("%:t") .. "\n")
    return false
end)
LUA
cp "$here/text.txt" .

for which in luajit luajit2; do
    scenario "a plug-in's function, by a hooks file, $which"
    # What the buffer is written to is compared as well.
    tidy=(-c 'lua print(require("tidy").buffer(), jit.version)' -c 'w! tidied.txt' -c q! text.txt)
    rm -f tidied.txt
    with_luajit $which plainly "${edit[@]}" "${tidy[@]}"
    mv tidied.txt plain.txt
    with_luajit $which inspected -f hooks.lua -- "${edit[@]}" "${tidy[@]}"
    # Neovim ends its messages on standard error with no newline; ljinspect's lines may follow on the same.
    is "a hit for each line of the text" "$(grep -c 'HIT .*tidy.lua:7 (line) removed=[0-9]* in text.txt' err)" "$(grep -c '' text.txt)"
    is "the file is written as without" "$(cksum <tidied.txt)" "$(cksum <plain.txt)"
    is "exit status" "$code" "$plain_code"
    is "Neovim's own messages are the same" "$(others | tr -d '\r\n')" "$(tr -d '\r\n' <plain.err)"

    scenario "a plug-in's function, by a breakpoint, $which"
    with_luajit $which inspected -b /tidy.lua:7 -n 1 -- "${edit[@]}" "${tidy[@]}"
    shows "locals and stack" "breakpoint /tidy.lua:7, hit 1: $here/plugin/lua/tidy.lua:7 (line)" '    text = ' \
        '    kept = ' '    removed = ' '    stack traceback:' "in function 'line'" "in function 'buffer'"
    is "the file is written as without" "$(cksum <tidied.txt)" "$(cksum <plain.txt)"

    scenario "callbacks of the event loop, and coroutines, $which"
    later=(-c 'lua require("tidy").later()' -c 'lua vim.wait(2000, function() return require("tidy").done end)'
        -c 'lua io.stdout:write(tostring(require("tidy").done))' -c q! text.txt)
    with_luajit $which plainly "${edit[@]}" "${later[@]}"
    is "(the plug-in works)" "$(<plain.out)" "timer and coroutine"
    with_luajit $which inspected -b tidy.lua:28 -b tidy.lua:23 -- "${edit[@]}" "${later[@]}"
    is "a timer's function is hit" "$(count 'breakpoint tidy.lua:28, hit 1')" 1
    is "a coroutine is hit" "$(count 'breakpoint tidy.lua:23, hit 1')" 1
    is "the result is the same" "$(<out)" "$(<plain.out)"

    scenario "the hooks file changes while Neovim runs, $which"
    cp hooks.lua changing.lua
    sed 's/HIT/CHANGED/' hooks.lua >changed.lua
    # The plug-in works on and on; the file is changed by its first hit.
    sed -i 's/return false/os.rename("changed.lua", "changing.lua") return false/' changing.lua
    with_luajit $which inspected -f changing.lua -- "${edit[@]}" \
        -c 'lua vim.wait(5000, function() require("tidy").line("x ") return count end, 5)' -c 'lua print("end")' -c q! text.txt &
    inspecting=$!
    await grep -q CHANGED err
    wait $inspecting
    is "the new hooks are hit" "$([ "$(grep -c 'CHANGED .*tidy.lua:7' err)" -gt 0 ] && echo hit)" hit
done

scenario "a program that Neovim starts"
with_luajit luajit2 inspected -v -b tidy.lua:7 -- "${edit[@]}" -c 'lua print(vim.fn.system("ls /nowhere; echo out"))' -c q
like "is undisturbed" "$(<err)" "ls: cannot access '/nowhere'"
is "and says nothing of ljinspect" "$(count 'used no LuaJIT')" 0

summary
