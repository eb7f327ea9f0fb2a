#!/bin/bash
# arm64.sh, with a LuaJIT whose C functions sign their return addresses and begin with landing pads (the compiler's
# -mbranch-protection=standard): signed.sh SOURCE OUT builds it in OUT, once. The emulator signs as a processor does, and by a cheaper
# algorithm of its own. Without taking signatures off, one of twenty samples cannot be read, and arm64.sh allows one of fifty.
set -u
here=$(cd "$(dirname "$0")" && pwd)
source=$1 out=$2
skip() {
    echo "SKIPPED: $1"
    [ -z "${LJINSPECT_NO_SKIP:-}" ] && exit 77
    echo "LJINSPECT_NO_SKIP is set: that is a failure"
    exit 1
}
[ -e "$source/done" ] || skip "no sources of $(basename "$source"); cmake/fetch-sources.sh unpacks them"
command -v aarch64-linux-gnu-gcc >/dev/null || skip "command aarch64-linux-gnu-gcc not found (Debian: gcc-aarch64-linux-gnu)"
for tool in gcc make; do
    command -v $tool >/dev/null || skip "command $tool not found (Debian: build-essential)"
done
if [ "$(cat "$out/built" 2>/dev/null)" != "$source" ]; then
    rm -rf "$out" && mkdir -p "${out%/*}" && cp -a "$source" "$out" || exit 1
    env -u CFLAGS -u LDFLAGS make -C "$out/src" BUILDMODE=static HOST_CC=gcc CROSS=aarch64-linux-gnu- TARGET_SYS=Linux CCDEBUG= \
        TARGET_CFLAGS=-mbranch-protection=standard >"$out/make.log" 2>&1 || { tail -n 5 "$out/make.log" && exit 1; }
    echo "$source" >"$out/built"
fi
[ "$(aarch64-linux-gnu-objdump -d "$out/src/luajit" | grep -cw paciasp)" -gt 500 ] || { echo "not ok - it signs" && exit 1; }
echo "ok - it signs"
export QEMU_CPU=max,pauth-impdef=on LUA_PATH="$out/src/?.lua;${LUA_PATH:-;}"
exec "$here/arm64.sh" "$out/src/luajit"
