# What the tests of the command share: sourced by them. Each test kills the processes it started when it ends.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ljinspect=${LJINSPECT_BUILD:?}/ljinspect
work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-cli.XXXXXX")
started=()
failures=0
slow=${LJINSPECT_SLOW:-1} # times as long is waited and recorded: where a whole machine is emulated (vm.sh)

finish() {
    local pid
    for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# check NAME COMMAND...: reports whether COMMAND succeeds.
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        failures=$((failures + 1))
    fi
}

same() { # expected, actual: texts
    [ "$1" = "$2" ] && return
    diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") | head -n 30 | sed 's/^/#   /'
    return 1
}

contains() { # text, part
    case $1 in *"$2"*) return 0 ;; esac
    printf '%s\n' "# no \"$2\" in:" "$1" | head -n 30 | sed 's/^/#   /'
    return 1
}

# status EXPECTED COMMAND...: what COMMAND printed is in $output, on both streams.
status() {
    local expected=$1 actual
    shift
    output=$("$@" 2>&1)
    actual=$?
    [ $actual -eq "$expected" ] && return
    printf '# exit status %s, not %s: %s\n' $actual "$expected" "$*" "$output"
    return 1
}

# start COMMAND...: in the background, with an input that never ends; its process id is in $pid, its output in $work/out.
start() {
    mkfifo "$work/in" 2>/dev/null
    : >"$work/out" # what the one before printed is not to be waited for
    "$@" <>"$work/in" >"$work/out" 2>"$work/err" &
    pid=$!
    started+=("$pid")
}

stop() { # pid
    kill -KILL "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    started=("${started[@]/$1/}")
}

# Where pgrep and pkill may be absent (vm.sh): processes whose command line has this text, and children of a process.
processes() { # text
    local file line found=1
    for file in /proc/[0-9]*/cmdline; do
        line=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
        case $line in *"$1"*) basename "${file%/cmdline}" && found=0 ;; esac
    done 2>/dev/null
    return $found
}

children() { # pid
    awk -v parent="$1" '{ sub(/.*\) /, ""); if ($2 == parent) { split(FILENAME, part, "/"); print part[3] } }' /proc/[0-9]*/stat 2>/dev/null
}

# wait_for TEXT: until $work/out has this line.
wait_for() {
    local i
    for i in $(seq 400); do
        grep -qxF -- "$1" "$work/out" && return
        sleep 0.05
    done
    echo "# no line \"$1\" came:" && head -n 20 "$work/out" "$work/err" | sed 's/^/#   /'
    return 1
}

# debug PID: make a debugger of it; its process id is in $debugger.
debug() {
    luajit -e "local ffi = require 'ffi' ffi.cdef 'long ptrace(long, long, long, long)' local SEIZE = 0x4206
assert(ffi.C.ptrace(SEIZE, $1, 0, 0) == 0) print '.' io.flush() io.read()" <>"$work/in" >"$work/debugger" &
    debugger=$!
    started+=("$debugger")
    for _ in $(seq 400); do
        [ ! -s "$work/debugger" ] || return 0
        sleep 0.05
    done
    echo "# no debugger could be started"
    return 1
}

# Ends the test as skipped unless record can sample through eBPF here; as failed where LJINSPECT_NO_SKIP is set, and it is not
# the kernel that forbids it: no package helps then.
needs_ebpf() {
    local why
    start luajit -e 'print "." io.flush() while true do end'
    wait_for . || exit 1
    why=$("$ljinspect" record -b ebpf -d 0.3 -o "$work/tried" "$pid" 2>&1)
    local said=$?
    stop "$pid"
    case $said.$why in 0.*) return ;; 4.* | *"built without"*) ;; *) printf '%s\n' "$why"; return ;; esac
    printf '%s\n' "$why" "SKIPPED: record cannot sample through eBPF here"
    case $said in 4) exit 77 ;; esac
    [ -z "${LJINSPECT_NO_SKIP:-}" ] && exit 77
    echo "LJINSPECT_NO_SKIP is set: that is a failure"
    exit 1
}

valid_json() { luajit "$here/json.lua" "$@"; }

finished() {
    [ "$failures" -eq 0 ] || echo "$failures checks failed"
    exit $((failures > 0))
}
