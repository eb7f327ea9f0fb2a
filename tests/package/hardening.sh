#!/bin/bash
# What makes an error in the library or the command harder to exploit is in the files that were built:
# hardening.sh FILE...; hardening.sh itself: that each of the checks can fail.
set -u
failures=0

# bad FILE: what FILE lacks, a word each.
bad() {
    local file=$1 segments dynamic symbols
    segments=$(readelf -lW "$file") && dynamic=$(readelf -dW "$file") && symbols=$(readelf --dyn-syms -W "$file") ||
        { echo unreadable && return; }
    grep -q ' GNU_RELRO ' <<<"$segments" && grep -qE 'BIND_NOW|FLAGS_1.* NOW' <<<"$dynamic" || echo relro
    grep -qE ' GNU_STACK +.* RW +0x' <<<"$segments" || echo stack
    grep -qE ' LOAD .* (RWE|WE) ' <<<"$segments" && echo writable-code
    grep -qE 'TEXTREL' <<<"$dynamic" && echo textrel
    grep -qE 'RPATH|RUNPATH' <<<"$dynamic" && echo rpath
    grep -q ' DYN ' <<<"$(readelf -hW "$file")" || echo pie
    grep -qE ' __stack_chk_fail(@|$)' <<<"$symbols" || echo protector
    grep -qE ' __[a-z]+_chk(@|$)' <<<"$(grep -v __stack_chk_fail <<<"$symbols")" || echo fortify
}

report() { # NAME, got, expected
    if [ "$2" = "$3" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1: '$2' instead of '$3'"
        failures=$((failures + 1))
    fi
}

if [ "$1" = itself ]; then
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    cat >"$dir/a.c" <<'C'
#include <stdio.h>
#include <string.h>
int f(char *, const char *);
int f(char *to, const char *from) {
    char text[64];
    strcpy(text, from);
    return sprintf(to, "%s", text);
}
int main(int argc, char **argv) {
    char to[16];
    return argc > 1 ? f(to, argv[1]) : 0;
}
C
    good="-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -pie -Wl,-z,relro,-z,now,-z,noexecstack"
    try() { # EXPECTED OPTION...
        local expected=$1
        shift
        # shellcheck disable=SC2086
        "${CC:-cc}" $good "$@" -o "$dir/a" "$dir/a.c" 2>"$dir/log" || { cat "$dir/log" && exit 1; }
        report "$*" "$(bad "$dir/a" | tr '\n' ' ')" "$expected"
    }
    try ""
    try "relro " -Wl,-z,norelro
    try "relro " -Wl,-z,lazy
    try "stack " -Wl,-z,execstack
    try "protector " -fno-stack-protector
    try "fortify " -U_FORTIFY_SOURCE
    try "pie " -fno-pie -no-pie
    try "rpath " -Wl,-rpath,/opt
    # Absolute addresses in code that is shared, and a section that is both.
    [ "$(uname -m)" != x86_64 ] || try "textrel " -shared -fno-pic -fno-pie -mcmodel=large -Wl,-z,notext
    echo '__asm__(".section .both,\"awx\"\n.byte 0\n.text");' >>"$dir/a.c"
    try "writable-code "
else
    for file; do report "$(basename "$file")" "$(bad "$file" | tr '\n' ' ')" ""; done
fi
exit $((failures > 0))
