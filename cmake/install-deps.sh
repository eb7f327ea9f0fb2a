#!/bin/sh
# Install what is missing on this machine: install-deps.sh demo|test|manual|deb|fuzz|ci
#
# Nothing is installed, and no rights are needed, where all is there already. Debian and its kin: apt-get, with sudo when
# not root. Elsewhere: a list of what to install, and exit status 1.
set -u
level=${1:-test}
missing=

# want PACKAGE PURPOSE COMMAND...: PACKAGE is missing when COMMAND fails.
want() {
    package=$1 purpose=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    missing="$missing $package"
    list="${list:-}    $package: $purpose
"
}

has() { command -v "$1"; }
recent_cmake() {
    command -v cmake || return
    version=$(cmake --version | sed -n 's/^cmake version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ "${version% *}" -gt 3 ] || { [ "${version% *}" -eq 3 ] && [ "${version#* }" -ge 22 ]; }
}

fuzzer_links() {
    echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p[0] + (int)n; }' |
        clang -x c -fsanitize=fuzzer,address,undefined -o /dev/null -
}

# Debian's LuaJIT and OpenResty's exclude each other, and nginx's Lua module needs the latter: the one that is there stays.
luajit=luajit headers=libluajit-5.1-dev
if dpkg-query -W -f '${db:Status-Status}' libluajit2-5.1-2 2>/dev/null | grep -qx installed; then
    luajit=luajit2 headers=libluajit2-5.1-dev
fi

want gcc "a C11 compiler" has cc
want libc6-dev "the C library's headers" sh -c 'echo "#include <stdlib.h>" | cc -E -'
want make "make" has make
want cmake "CMake, 3.22 or later" recent_cmake
want pkg-config "pkg-config" has pkg-config
want $luajit "the luajit command, 2.1" has luajit
want zlib1g-dev "zlib, for the ljinspect command" sh -c 'echo "#include <zlib.h>" | cc -E -'
want $headers "LuaJIT's headers and library, 2.1" pkg-config --exists luajit
if [ "$level" != demo ] && [ "$level" != deb ] && [ "$level" != manual ]; then
    want g++ "a C++ compiler (tests: the header from C++)" has c++
    want libcmocka-dev "cmocka (tests)" pkg-config --exists cmocka
    want protobuf-compiler "protoc (tests: profiles for pprof)" has protoc
    want curl "curl (tests with nginx)" has curl
fi
if [ "$level" = fuzz ] || [ "$level" = deb ] || [ "$level" = ci ]; then
    want clang "the other compiler, and the one for eBPF" has clang
fi
if [ "$level" = fuzz ] || [ "$level" = ci ]; then
    # Debian has it apart, under a name with the version of its clang.
    runtime=$(command -v clang >/dev/null && clang -dumpversion | cut -d . -f 1 ||
        apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
    want "libclang-rt-${runtime:-14}-dev" "clang's sanitizers and fuzzer" fuzzer_links
fi
if [ "$level" = deb ] || [ "$level" = ci ]; then
    want libbpf-dev "libbpf (ljinspect record through eBPF)" pkg-config --exists libbpf
    want dpkg-dev "makes packages; unpacks LuaJIT's sources (tests of the trap engine)" has dpkg-shlibdeps
fi
if [ "$level" = manual ] || [ "$level" = ci ]; then
    want mandoc "mandoc (the manual as HTML; tests: manual pages)" has mandoc
    want lowdown "lowdown (the manual as HTML)" has lowdown
fi
if [ "$level" = ci ]; then
    want lintian "lintian (tests: Debian packages)" has lintian
    want luarocks "LuaRocks (tests: the rock)" has luarocks
    want clang-format "clang-format" has clang-format
    want clang-tidy "clang-tidy" has clang-tidy
    want cppcheck "cppcheck" has cppcheck
    want groff-base "groff (tests: manual pages)" has groff
    want zsh "a shell (tests: completion)" has zsh
    want fish "a shell (tests: completion)" has fish
    want chromium "a browser (tests: the page of flame graphs)" has chromium
    want gcc-aarch64-linux-gnu "a cross compiler (tests on arm64)" has aarch64-linux-gnu-gcc
    want libc6-dev-arm64-cross "the C library for arm64 (tests on arm64)" test -e /usr/aarch64-linux-gnu/include/stdlib.h
    want qemu-user-static "an emulator (tests on arm64)" has qemu-aarch64-static
fi

[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "Please install these (Debian's package names), then try again:"
    printf %s "$list"
    exit 1
fi >&2

root=
if [ "$(id -u)" -ne 0 ]; then
    root=sudo
    if ! command -v sudo >/dev/null; then
        echo "Some packages are missing. Please run this as root, then try again:"
        echo "    apt-get install --no-install-recommends$missing"
        exit 1
    fi >&2
fi
echo "Installing with apt-get:$missing"
# shellcheck disable=SC2086
$root apt-get -qq update && $root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-remove --no-install-recommends $missing </dev/null >/dev/null
