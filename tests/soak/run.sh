#!/bin/bash
# A soak: nginx under a light, steady load, and two luajit processes, while hooks change all the time. Every half minute
# all is looked at: memory, mappings, descriptors, threads, the Lua heap, and what a request costs with hooks and without.
# During the first third nginx is reloaded again and again; then its workers live to the end.
#
#   run.sh SECONDS DIRECTORY     keeps there: soak.log (the same lines as on the terminal), samples.csv, speed.csv, counts
#
# Ends with verdict.lua's report, also at SIGINT and SIGTERM, of what was measured till then.
# Environment: as for hosts/nginx/run.sh, LJINSPECT_ENGINE for the engine, and
#   SOAK_SEED     the order of changes
#   SOAK_CHURN    seconds of changes between two looks; default: 20
#   SOAK_FLAWS    flaws to make on purpose: heap, memory, fds, maps, error, wrong, slow (hooks.lua); nginx is not reloaded then
# Exit code: 0 all criteria hold, 1 one does not, 77 there is no nginx or no wrk.
set -u
export LC_ALL=C
soak=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../hosts/nginx/host.sh
. "$soak/../hosts/nginx/host.sh"
LJINSPECT_SRC=${LJINSPECT_SRC:-$(cd "$soak/../.." && pwd)}
seconds=$1 directory=$2
churn_seconds=${SOAK_CHURN:-20}
RANDOM=${SOAK_SEED:=$(($(date +%s) % 32768))}

give_up() {
    printf '\n*** NOT TESTED: a soak. Missing: %s\n\n' "$1" >&2
    exit 77
}
LJINSPECT_DEBS=$(realpath -m "$LJINSPECT_DEBS")
wrk=$LJINSPECT_DEBS/usr/bin/wrk
[ -x "$wrk" ] || give_up "$wrk"
own_library_path=${LD_LIBRARY_PATH:-}
find_nginx || give_up "$missing"
command -v luajit >/dev/null || give_up "luajit (Debian: luajit)"

umask 022
rm -rf "$directory"
mkdir -p "$directory" || exit 1
directory=$(realpath "$directory")
exec > >(exec tee -i "$directory/soak.log") 2>&1
teller=$!
work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-soak.XXXXXX") || exit 1
results=$work/results plain=$work/plain prefix=$work/nginx
log=$prefix/error.log hooks=$prefix/hooks/hooks.lua
scenario="soak" todo='' plain_pid='' master='' load_pid='' programs=() stop=''
# shellcheck disable=SC2317,SC2329  # called by the trap
cleanup() {
    local pid
    for pid in $load_pid "${programs[@]}"; do kill "$pid" 2>/dev/null; done
    [ -z "$master" ] || land "$master"
    [ -z "$plain_pid" ] || land "$plain_pid"
    if [ -n "${LJINSPECT_KEEP:-}" ]; then echo "# logs: $work"; else rm -rf "$work"; fi
    exec >&- 2>&-
    wait "$teller"
}
trap cleanup EXIT
trap 'stop="stopped by a signal"' INT TERM
: >"$results"
mkdir -p "$plain/bodies" "$prefix/hooks" "$prefix/sinks"

now_s() { echo "$((($(now_ms) - started) / 1000))"; }
say() { printf '%5d s  %s\n' "$(now_s)" "$*"; }
started=$(now_ms)

# ---- What the answers are without ljinspect ----

# A terminal's interrupt is for us alone.
start_with=(setsid)
beginning() {
    defaults
    init_worker=''
    start_with=(setsid "$@")
}
beginning
launch "$plain" || { cat "$plain/stdout" >&2; exit 1; }
# shellcheck disable=SC2031  # it is not the subshell's that is meant
plain_pid=$launched
export SOAK_LOAD=$soak/../hosts/stress/load.lua
for path in $(sed -n 's/^local paths = {\(.*\)}$/\1/p' "$SOAK_LOAD" | tr -d '",'); do
    curl -s --unix-socket "$plain/http.sock" "http://x$path" >"$plain/bodies/$(tr -c 'a-z0-9=\n' _ <<<"$path")"
done
land "$plain_pid"
plain_pid=''

# ---- nginx, attached to from outside; luajit processes, which look at themselves ----

beginning "$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --
port=18911
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done # somebody listens there
# shellcheck disable=SC2034
listen="listen 127.0.0.1:$port;" workers=2
nginx_start
pids=$(workers | xargs)
: >"$work/errors"

LD_LIBRARY_PATH=$own_library_path setsid luajit "$soak/plain.lua" luajit "$seconds" "$work" \
    >"$work/luajit.out" 2>&1 &
programs+=($!)
setsid "$LJINSPECT_DEBS/usr/bin/luajit" "$soak/plain.lua" luajit2 "$seconds" "$work" >"$work/luajit2.out" 2>&1 &
programs+=($!)

# ---- Changes ----

words=(greet price price-shadowed join innermost nap fetch-connect fetch-receive add)
lines='' paths=(/greet?name=ann /price /price /join /trace /nap?n=0 /fetch?n=7 /fetch?n=7 /total)
declare -A line
for word in "${words[@]}"; do
    line[$word]=$(at shop "$word")
    lines+="[\"$word\"]=${line[$word]},"
done
round=0 kind='' hooked=''
flaws=${SOAK_FLAWS:-}
reloading_until=$((seconds / 3))
[ -z "$flaws" ] || reloading_until=0

# The hooks file, in one of the ways in which files are written.
put() { # KIND
    kind=$1 round=$((round + 1)) hooked=$((RANDOM % ${#words[@]}))
    {
        echo "local round, kind, hooked, flaws, line = $round, \"$kind\", \"${words[$hooked]}\", \"$flaws\", {$lines}"
        cat "$soak/hooks.lua"
    } >"$hooks.new"
    case $((RANDOM % 4)) in
    0) # in place
        [ ! -L "$hooks" ] || rm -f "$hooks"
        cat "$hooks.new" >"$hooks"
        ;;
    1) # a link to it
        mv "$hooks.new" "$hooks.$((round % 2))"
        ln -sf "$hooks.$((round % 2))" "$hooks.link" && mv -T "$hooks.link" "$hooks"
        ;;
    *) mv "$hooks.new" "$hooks" ;;
    esac
}

kinds=(filters tables snapshots returns unruly elsewhere)
missed=0 edits=0
change() {
    edits=$((edits + 1))
    case $((RANDOM % 16)) in
    0) rm -f "$hooks" && sleep 0.02 ;;
    1) # changes nothing; what is there stays in force
        rm -f "$hooks.new"
        echo "no Lua" >"$hooks.new" && mv "$hooks.new" "$hooks" && sleep 0.02
        ;;
    *)
        put "${kinds[$((RANDOM % ${#kinds[@]}))]}"
        if ! await all_hit; then
            missed=$((missed + 1))
            say "MISSED: change $round ($kind) at ${words[$hooked]} was not hit by every worker: $(tail -qn 1 "$prefix"/hit.* 2>&1 | xargs)"
        fi
        ;;
    esac
}

# Every worker has hit the hook of this round on its line. Where the load leaves one out a request may come to it.
all_hit() {
    local pid said
    for pid in $pids; do
        said=''
        { read -r said <"$prefix/hit.$pid"; } 2>/dev/null
        [ "$said" = "$round ${line[${words[$hooked]}]}" ] && continue
        ask "${paths[$hooked]}" >/dev/null
        return 1
    done
}

# At requests, and not between them, for idle workers wait for one.
all_have_hooks() { # COUNT
    local answer pid
    for _ in 1 2 3 4 5 6 7 8; do
        answer=$(ask /status)
        pid=${answer#*pid=} pid=${pid%% *}
        have[pid]=$(sed 's/.*hooks=\([0-9]*\).*/\1/' <<<"$answer")
    done
    for pid in $pids; do [ "${have[pid]:-}" = "$1" ] || return 1; done
}
await_hooks() { # COUNT
    have=()
    await all_have_hooks "$1" && return
    missed=$((missed + 1))
    say "MISSED: $1 hooks were to be in force in workers $pids; there are: ${have[*]}"
}

reloads=0
reload() {
    local before=$pids
    kill -HUP "$master"
    if ! await reloaded "$before"; then
        say "MISSED: a reload did not replace workers $before: $(workers | xargs)"
        missed=$((missed + 1))
    fi
    pids=$(workers | xargs) reloads=$((reloads + 1))
    rm -f "$prefix"/hit.*
}
reloaded() { # PIDS
    local now pid
    now=" $(workers | xargs) "
    [ "$(wc -w <<<"$now")" -eq 2 ] || return 1
    for pid in $1; do [[ $now != *" $pid "* ]] || return 1; done
}

# ---- Load ----

answers=0 wrong=0 failed=0
load() { # CONNECTIONS SECONDS [PAUSE]
    setsid "$wrk" -t 1 -c "$1" -d "${2}s" -s "$soak/load.lua" "http://127.0.0.1:$port" "$plain/bodies" "${@:3}" >"$work/wrk" 2>&1 &
    load_pid=$!
}
# loaded ALLOWED: the load has ended. So many reads may have failed: where nginx closed a connection when it was reloaded.
loaded() {
    local pid=$load_pid report n
    until wait "$pid" || exited "$pid"; do :; done # a signal ends wait, too
    load_pid=''
    report=$(<"$work/wrk")
    got=$(sed -n 's/^answers \([0-9]*\)$/\1/p' <<<"$report")
    if [ -z "$got" ]; then
        say "FAILED: no report of wrk: $report"
        failed=$((failed + 1)) got=0
        return
    fi
    answers=$((answers + got))
    n=$(sed -n 's/^wrong \([0-9]*\) .*/\1/p' <<<"$report")
    [ "$n" = 0 ] || say "WRONG: $(grep '^wrong' <<<"$report")"
    wrong=$((wrong + n))
    n=$(sed -n 's/^errors //p' <<<"$report" | sed 's/read=[0-9]*//' | tr -cd '0-9\n ' | tr -s ' ' + | sed 's/^+//')
    n=$((n + $(sed -n 's/^errors .*read=\([0-9]*\).*/\1/p' <<<"$report") ))
    [ "$n" -le "$1" ] || { say "FAILED: $(grep '^errors' <<<"$report")"; failed=$((failed + n)); }
}

# Processor time of the workers so far, in nanoseconds.
cpu_ns() {
    local pid ns sum=0 _
    for pid in $pids; do
        read -r ns _ <"/proc/$pid/schedstat" && sum=$((sum + ns))
    done
    echo "$sum"
}

# burst: full load for a second; $rate requests a second, $cost nanoseconds of the workers for one.
burst() {
    local before
    before=$(cpu_ns)
    load 16 1
    loaded 0
    rate=$got cost=$((got > 0 ? ($(cpu_ns) - before) / got : 0))
}

# ---- Looking ----

sample() { # NAME PID HEAP
    local pid=$2 memory fds=("/proc/$2/fd/"*)
    memory=$(sed -nE 's/^(Rss|Pss|Anonymous): *([0-9]+) kB/\2/p' "/proc/$pid/smaps_rollup" | paste -sd ,)
    echo "$(now_s),$1,$pid,$memory,${#fds[@]},$(wc -l <"/proc/$pid/maps"),$(
        sed -n 's/^Threads:[^0-9]*//p' "/proc/$pid/status"),$3,$edits,$reloads" >>"$directory/samples.csv"
}

# Lua heaps of the workers, garbage collected, into heap[].
all_heaps() {
    local answer
    answer=$(ask /heap)
    heap[${answer%% *}]=${answer##* }
    for pid in $pids; do [ -n "${heap[pid]:-}" ] || return 1; done
}

look() {
    local pid n=0
    heap=()
    await all_heaps || say "no heap of every worker"
    sample master "$master" ''
    for pid in $pids; do
        n=$((n + 1))
        sample "worker$n" "$pid" "${heap[pid]:-}"
    done
}

# What the log has got since the last look, as logrotate does it.
expected='hooks\.lua failed, hooks left as they were: .*near|error in filter, hook removed: .*(on purpose|attempt to yield|interrupted: ran longer)'
read_log() {
    [ ! -e "$log.1" ] ||
        grep -E '\[(error|crit|alert|emerg)\]|exited on signal' "$log.1" | grep -vE "$expected" >>"$work/errors"
    mv "$log" "$log.1" 2>/dev/null
    [ -n "$master" ] || return
    mv "$prefix/sinks/json" "$prefix/sinks/json.1" 2>/dev/null
    kill -USR1 "$master"
}

# ---- An hour ----

echo "seconds,name,pid,rss_kb,pss_kb,anon_kb,fds,maps,threads,heap_kb,edits,reloads" >"$directory/samples.csv"
echo "seconds,rate_off,rate_on,ns_off,ns_on" >"$directory/speed.csv"
say "soak of $seconds s with the engine ${LJINSPECT_ENGINE:-trap}, seed $SOAK_SEED; nginx $master with workers $pids, luajit ${programs[*]}"
[ -z "$flaws" ] || say "with flaws made on purpose: $flaws"
turn=0
while [ -z "$stop" ] && [ "$(now_s)" -lt "$seconds" ]; do
    turn=$((turn + 1)) allowed=0
    load 8 "$churn_seconds" 40
    end=$(($(now_ms) + churn_seconds * 1000 - 500))
    until [ -n "$stop" ] || [ "$(now_ms)" -gt "$end" ]; do
        change
        sleep 0.05
        # Once in a turn, amid the load.
        if [ "$allowed" -eq 0 ] && [ "$(now_s)" -lt "$reloading_until" ] && [ "$(now_ms)" -gt $((end - churn_seconds * 500)) ]; then
            reload
            allowed=16 # each connection, and the one that took its place before the old workers stopped listening
        fi
    done
    [ -z "$stop" ] || kill -INT "$load_pid" 2>/dev/null
    loaded "$allowed"
    [ -z "$stop" ] || break
    # Without hooks and with them, in turn the one first and the other.
    for on in $((turn % 2)) $(((turn + 1) % 2)); do
        if [ "$on" = 1 ]; then
            put measured
            await_hooks "$([[ $flaws = *slow* ]] && echo 5 || echo 4)"
            burst
            rate_on=$rate cost_on=$cost
        else
            rm -f "$hooks"
            await_hooks 0
            burst
            rate_off=$rate cost_off=$cost
        fi
    done
    echo "$(now_s),$rate_off,$rate_on,$cost_off,$cost_on" >>"$directory/speed.csv"
    rm -f "$hooks"
    await_hooks 0
    look
    read_log
    [ "$(workers | xargs)" = "$pids" ] || { say "FAILED: workers are $(workers | xargs), not $pids"; failed=$((failed + 1)) pids=$(workers | xargs); }
    say "$answers answers, $edits changes, $reloads reloads; off $rate_off/s, on $rate_on/s;" \
        "rss of workers $(tail -n 2 "$directory/samples.csv" | cut -d, -f4 | xargs) KB, heap $(tail -n 2 "$directory/samples.csv" | cut -d, -f10 | xargs) KB"
done
say "the end${stop:+: $stop}"

# ---- What has come of it ----

rm -f "$hooks"
land "$master" || { say "FAILED: nginx ended with $?"; failed=$((failed + 1)); }
master=''
read_log
read_log
: >"$work/stop"
for pid in "${programs[@]}"; do
    await exited "$pid" || say "a luajit process does not end"
done
programs=()
for name in luajit luajit2; do
    grep -q ', 0 wrong$' "$work/$name.out" || { say "FAILED: $name"; failed=$((failed + 1)); }
    sed "s/^/         $name: /" "$work/$name.out"
    cat "$work/$name.csv" >>"$directory/samples.csv"
done
cp "$work/errors" "$directory/errors"
[ ! -s "$work/errors" ] || { echo "Lines of the log that nobody expects:"; head -n 20 "$work/errors" | cut -c 1-300; }
{
    echo "answers $answers"
    echo "wrong $wrong"
    echo "failed $failed"
    echo "edits $edits"
    echo "reloads $reloads"
    echo "missed $missed"
    echo "errors $(wc -l <"$work/errors")"
} >"$directory/counts"
luajit "$soak/verdict.lua" "$directory"
