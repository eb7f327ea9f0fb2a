#!/bin/bash
# Scenarios in a real nginx with its Lua module, as somebody who uses the hooks file would go through them.
#
#   run.sh [scenario...]        all, or those whose file name contains one of the words
#
# Environment:
#   LJINSPECT_BUILD   build directory: has lua/ljinspect.so
#   LJINSPECT_SRC     source directory; default: the one this script is in
#   LJINSPECT_DEBS    directory into which Debian's packages were unpacked; default: the system's nginx
#   LJINSPECT_KEEP    not empty: leave the temporary directory with the logs
#
# Exit code: 0 all is well, 1 something is not, 77 nothing could be tried.
set -u
export LC_ALL=C

# shellcheck source-path=SCRIPTDIR source=host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"
LJINSPECT_SRC=${LJINSPECT_SRC:-$(cd "$here/../../.." && pwd)}

give_up() {
    printf '\n*** NOT TESTED: ljinspect inside nginx. Missing: %s\n\n' "$1" >&2
    echo "1..0 # SKIP missing: $1"
    exit 77
}

if [ -z "${LJINSPECT_BUILD:-}" ] || [ ! -e "$LJINSPECT_BUILD/lua/ljinspect.so" ]; then
    echo "run.sh: LJINSPECT_BUILD must name a build directory with lua/ljinspect.so" >&2
    exit 1
fi
LJINSPECT_BUILD=$(cd "$LJINSPECT_BUILD" && pwd)
if [ -n "${LJINSPECT_DEBS:-}" ]; then LJINSPECT_DEBS=$(realpath -m "$LJINSPECT_DEBS"); fi
command -v curl >/dev/null || give_up "curl (Debian: apt-get install curl)"
find_nginx || give_up "$missing"

umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-nginx.XXXXXX") || exit 1
plain=$work/plain
results=$work/results
plain_pid=''
# shellcheck disable=SC2317,SC2329  # called by the trap
cleanup() {
    [ -z "$plain_pid" ] || land "$plain_pid"
    if [ -n "${LJINSPECT_KEEP:-}" ]; then echo "# logs: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 1' INT TERM
: >"$results"

# nginx without ljinspect: what responses are compared with.
mkdir -p "$plain/responses"
defaults
init_worker=''
if ! launch "$plain"; then
    cat "$plain/stdout" >&2
    if grep -qE "dlopen\(\).*failed|failed to load the 'resty.core' module" "$plain/stdout"; then
        give_up "an nginx that can load its Lua module"
    fi
    exit 1
fi
# shellcheck disable=SC2031  # it is not the subshell's that is meant
plain_pid=$launched

for file in "$here"/scenarios/*.sh; do
    chosen=$#
    for word in "$@"; do
        [[ $(basename "$file") == *"$word"* ]] && chosen=0
    done
    [ "$chosen" -eq 0 ] || continue
    if [ ! -x "$LJINSPECT_BUILD/ljinspect" ] && grep -q '/ljinspect" run' "$file"; then
        scenario=$(basename "$file" .sh) todo='' && skip "the scenario" "built without the ljinspect command"
        continue
    fi
    started=$(now_ms)
    run_scenario "$file"
    echo "# $(basename "$file" .sh): $(($(now_ms) - started)) ms"
done

summary
