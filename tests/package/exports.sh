#!/bin/sh
# The shared library exports its API and nothing else, does not pull in a LuaJIT, and is never unmapped.
set -u
library=$1
failed=0

others=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -vE '^(ljinspect_[a-z_]+|luaopen_ljinspect)$')
if [ -n "$others" ]; then
    echo "exported, but no API: $others"
    failed=1
fi
# Each function the header declares.
for name in $(grep -oE '\b(ljinspect_[a-z_]+|luaopen_ljinspect)\(' "$LJINSPECT_SOURCE/include/ljinspect.h" |
    tr -d '(' | sort -u); do
    grep -qE "^LJINSPECT_API .*\b$name\(" "$LJINSPECT_SOURCE/include/ljinspect.h" || continue
    nm -D --defined-only "$library" | awk '{print $3}' | grep -qx "$name" || {
        echo "declared, but not exported: $name"
        failed=1
    }
done
if readelf -d "$library" | grep -i 'needed.*luajit'; then
    echo "must leave LuaJIT to the host"
    failed=1
fi
readelf -d "$library" | grep -q NODELETE || {
    echo "flag NODELETE is missing"
    failed=1
}
readelf -d "$library" | grep -q 'soname: \[libljinspect.so.0\]' || {
    echo "wrong SONAME"
    failed=1
}
readelf -lW "$library" | grep -q 'GNU_STACK.* RW ' || {
    echo "executable stack"
    failed=1
}

# What is preloaded stands before the functions that compile Lua code, and before nothing else; it needs the C library alone.
preload=${library%/*}/libljinspect-preload.so
if [ -e "$preload" ]; then
    others=$(nm -D --defined-only "$preload" | awk '{print $3}' |
        grep -vxE 'lua_loadx?|luaL_loadfilex?|luaL_loadbufferx?|luaL_loadstring|ljinspect_preload_attach')
    if [ -n "$others" ]; then
        echo "the preloaded library exports: $others"
        failed=1
    fi
    if readelf -d "$preload" | grep NEEDED | grep -vE '\[(lib(c|dl)\.so\.[0-9]+|ld-linux-[^]]*)\]'; then
        echo "the preloaded library needs more than the C library"
        failed=1
    fi
fi
exit $failed
