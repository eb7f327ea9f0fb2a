#!/bin/bash
# Other ways to look into a running Lua program, measured beside ljinspect (compare.lua): compare.sh DIRECTORY [ROUNDS]
#
# DIRECTORY has what others wrote, as they distribute it; nothing of it is in this repository:
#   apisix/inspect/dbg.lua   Apache APISIX's inspect plugin
#   mobdebug.lua             MobDebug; it needs LuaSocket where luajit finds it, or below DIRECTORY (Debian: lua-socket, unpacked)
# What is not there is not measured, and the output says so. jit.p and jit.v come with luajit.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LJINSPECT_COMPARE=$(realpath "${1:-.}")
export LJINSPECT_COMPARE LUA_PATH LUA_CPATH
for lua in "$LJINSPECT_COMPARE"/usr/share/lua/5.1; do LUA_PATH="$LJINSPECT_COMPARE/?.lua;$lua/?.lua;${LUA_PATH:-;}"; done
for lua in "$LJINSPECT_COMPARE"/usr/lib/*/lua/5.1; do LUA_CPATH="$lua/?.so;${LUA_CPATH:-;}"; done

controller=
trap '[ -z "$controller" ] || kill "$controller" 2>/dev/null || true' EXIT
if luajit -e 'require "socket" assert(package.searchpath("mobdebug", package.path))' 2>/dev/null; then
    exec 3< <(exec luajit "$here/controller.lua")
    controller=$!
    read -r -t 10 LJINSPECT_MOBDEBUG_PORT <&3
    export LJINSPECT_MOBDEBUG_PORT
fi
luajit "$here/compare.lua" "${2:-15}"
