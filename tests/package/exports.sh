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
exit $failed
