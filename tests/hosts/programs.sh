# Running programs with and without `ljinspect run`: sourced, after report.sh.
#
# Environment: LJINSPECT_BUILD, LJINSPECT_DEBS as for nginx/run.sh.
# shellcheck shell=bash

# shellcheck disable=SC2034,SC2154
ljinspect=$LJINSPECT_BUILD/ljinspect
umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-run.XXXXXX") || exit 1
trap '[ -n "${LJINSPECT_KEEP:-}" ] || rm -rf "$work"' EXIT
results=$work/results
log=$work/err
todo='' scenario=''
: >"$results"
cd "$work" || exit 1

scenario() { scenario=$1; }

# with_luajit NAME COMMAND...: run it where shared objects find the system's LuaJIT, or OpenResty's.
with_luajit() {
    local libraries=''
    for dir in "$LJINSPECT_DEBS"/usr/lib/*-linux-gnu* "$LJINSPECT_DEBS"/lib/*-linux-gnu*; do
        [ -d "$dir" ] && libraries=$dir${libraries:+:$libraries}
    done
    [ "$1" = luajit2 ] || libraries=$system_libraries:$libraries
    LD_LIBRARY_PATH=$libraries "${@:2}"
}
system_libraries=$(ldd "$LJINSPECT_BUILD/tests/hosts/embed/embed" | sed -n 's/.*libluajit.* => \(.*\)\/[^/]* (.*/\1/p')

# plainly COMMAND...: as the user has always run it. Standard output, error and exit status are what is compared with.
plainly() {
    code=0
    timeout 60 "$@" >"$work/plain.out" 2>"$work/plain.err" </dev/null || code=$?
    plain_code=$code
}

# inspected OPTION... -- COMMAND...: the same through `ljinspect run`. Leaves $work/out, $work/err and $code.
inspected() {
    code=0
    timeout 60 "$ljinspect" run "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

# The program's own output and exit status are what they were without.
same() {
    if cmp -s "$work/plain.out" "$work/out" && [ "$code" = "$plain_code" ]; then
        ok "the program's output and exit status are unchanged"
    else
        not_ok "the program's output and exit status are unchanged" "exit status $plain_code, now $code" \
            "$(diff "$work/plain.out" "$work/out" | head -n 8)"
    fi
    # What it says on standard error, ljinspect's own lines aside.
    is "and so is its standard error" "$(others)" "$(addresses_aside "$work/plain.err")"
}

# Standard error without what ljinspect prints.
others() { addresses_aside "$work/err" | grep -vE '^ljinspect: |^    |^HIT '; }

# They differ from run to run.
addresses_aside() { sed -E 's/0x[0-9a-f]+/ADDRESS/g' "$1"; }

# shows TEXT LINE...: standard error has these lines, one after the other.
shows() {
    local text=$1
    shift
    printf '%s\n' "$@" >"$work/expected"
    if lines_in_order; then ok "$text"; else not_ok "$text" "expected:" "$@"; fi
}

lines_in_order() {
    awk 'NR == FNR { want[n++] = $0; next } at < n && index($0, want[at]) { at++ } END { exit at < n }' \
        "$work/expected" "$work/err"
}

# count REGEX: how many lines of standard error
count() { grep -cE -- "$1" "$work/err"; }
