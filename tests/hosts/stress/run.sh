#!/bin/bash
# nginx under full load (wrk, as many requests as it can take) while the hooks file changes many times a second: no request
# fails, no answer differs, every worker is hit by every change, memory stays, the log has nothing but what filters say.
#
# Environment: as for nginx/run.sh, and
#   LJINSPECT_STRESS_SECONDS   how long; default: 8. `make stress` runs a minute.
# Exit code: 0 all is well, 1 something is not, 77 there is no nginx or no wrk.
set -u
export LC_ALL=C
stress=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../nginx/host.sh
. "$stress/../nginx/host.sh"
LJINSPECT_SRC=${LJINSPECT_SRC:-$(cd "$stress/../../.." && pwd)}
seconds=${LJINSPECT_STRESS_SECONDS:-8}

give_up() {
    printf '\n*** NOT TESTED: nginx under load. Missing: %s\n\n' "$1" >&2
    exit 77
}
LJINSPECT_DEBS=$(realpath -m "$LJINSPECT_DEBS")
wrk=$LJINSPECT_DEBS/usr/bin/wrk
[ -x "$wrk" ] || give_up "$wrk"
find_nginx || give_up "$missing"

umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-stress.XXXXXX") || exit 1
results=$work/results plain=$work/plain prefix=$work/nginx
log=$prefix/error.log hooks=$prefix/hooks/hooks.lua
scenario="load" todo='' plain_pid='' master='' load_pid='' gets_equal=0
# shellcheck disable=SC2317,SC2329  # called by the trap
cleanup() {
    [ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null
    [ -z "$master" ] || land "$master"
    [ -z "$plain_pid" ] || land "$plain_pid"
    if [ -n "${LJINSPECT_KEEP:-}" ]; then echo "# logs: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 1' INT TERM
: >"$results"
mkdir -p "$plain/bodies" "$prefix/hooks"

# ---- What the answers are without ljinspect ----

defaults
init_worker=''
launch "$plain" || { cat "$plain/stdout" >&2; exit 1; }
# shellcheck disable=SC2031  # it is not the subshell's that is meant
plain_pid=$launched
for path in $(sed -n 's/^local paths = {\(.*\)}$/\1/p' "$stress/load.lua" | tr -d '",'); do
    curl -s --unix-socket "$plain/http.sock" "http://x$path" >"$plain/bodies/$(tr -c 'a-z0-9=\n' _ <<<"$path")"
done

# ---- nginx, attached to from outside ----

port=18711
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done # somebody listens there
# shellcheck disable=SC2034
listen="listen 127.0.0.1:$port;" workers=2 start_with=("$LJINSPECT_BUILD/ljinspect" run -f "$hooks" --)
nginx_start
pids=$(workers | xargs)

# One change: hooks here and there that look and stay, and one that each worker hits once and says so in a file.
words=(greet price price-shadowed join innermost nap fetch-connect fetch-receive add)
change() { # ROUND
    local word
    {
        cat <<LUA
local ljinspect = require "ljinspect"
local function stay(info) local n = 0 for _ in pairs(info.vals) do n = n + 1 end return false end
local said = ngx.config.prefix() .. "hit." .. ngx.worker.pid()
ljinspect.set_hook("shop.lua", ${line[${words[$(($1 % 9))]}]}, nil, function(info)
    local file = io.open(said .. ".new", "w")
    file:write("$1 ", tostring(info.finfo.currentline), "\n")
    file:close()
    os.rename(said .. ".new", said)
    return true
end)
LUA
        for word in ${words[$(($1 % 7))]} ${words[$(($1 % 5 + 2))]}; do
            echo "ljinspect.set_hook(\"shop.lua\", ${line[$word]}, nil, stay)"
        done
    } >"$hooks.new"
    if [ $(($1 % 3)) -eq 0 ]; then cat "$hooks.new" >"$hooks"; else mv "$hooks.new" "$hooks"; fi
}
declare -A line
for word in "${words[@]}"; do line[$word]=$(at shop "$word"); done

# Every worker has hit this round's hook, on its line.
all_hit() { # ROUND
    local pid said
    for pid in $pids; do
        said=''
        { read -r said <"$prefix/hit.$pid"; } 2>/dev/null
        [ "$said" = "$1 ${line[${words[$(($1 % 9))]}]}" ] || return 1
    done
}
pause() { read -rt 0.002 <> <(:) || true; }

await_all_hit() { # ROUND
    local end=$(($(now_ms) + deadline_seconds * 1000))
    until all_hit "$1"; do
        pause
        [ "$(now_ms)" -lt "$end" ] || return 1
    done
}

resident_kb() {
    local pid sum=0
    for pid in $pids; do sum=$((sum + $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$pid/status"))); done
    echo "$sum"
}

# ---- The load, and the changes ----

"$wrk" -t 2 -c 32 -d "${seconds}s" -s "$stress/load.lua" "http://127.0.0.1:$port" "$plain/bodies" >"$work/wrk" 2>&1 &
load_pid=$!
round=0 lost=0 resident=()
started=$(now_ms)
while ! exited "$load_pid" && [ $(($(now_ms) - started)) -lt $((seconds * 1000 - 300)) ]; do
    round=$((round + 1))
    change "$round"
    if ! await_all_hit "$round"; then
        lost=$((lost + 1))
        not_ok "change $round is hit by every worker" "$(tail -n 3 "$prefix"/hit.*)"
        [ "$lost" -lt 3 ] || break
    fi
    resident+=("$(resident_kb)")
    # A removed file takes all hooks away for a while; one with an error changes nothing.
    if [ $((round % 10)) -eq 0 ]; then rm -f "$hooks"; sleep 0.01; fi
    if [ $((round % 10)) -eq 5 ]; then echo "no Lua" >"$hooks"; sleep 0.01; fi
done
took=$(($(now_ms) - started))
wait "$load_pid"
load_pid=''

# ---- What has come of it ----

sed 's/^/# /' "$work/wrk"
echo "# $round changes in $took ms, $((round * 1000 / (took + 1))) a second; resident memory of the workers in KB: ${resident[0]:-} at first," \
    "${resident[$((${#resident[@]} / 2))]:-} half way, ${resident[-1]:-} at the end"
is "every change was hit by every worker" "$lost lost" "0 lost"
like "there were changes" "$round" '^[0-9]{2,}$' # how many a second depends on the machine
like "requests were answered" "$(<"$work/wrk")" '^answers [0-9]{3,}$'
like "each as without ljinspect" "$(<"$work/wrk")" '^wrong 0 $'
like "none failed" "$(<"$work/wrk")" '^errors connect=0 read=0 write=0 status=0 timeout=0$'
is "the workers are the same as at the beginning" "$(workers | xargs)" "$pids"
is "no line of the log is an error, but of the hooks files with one" \
    "$(grep -E '\[(error|crit|alert|emerg)\]|exited on signal' "$log" | grep -vc "hooks.lua failed,.*'=' expected near")" 0
# From half way to the end, when all that is kept once has been made.
growth=$((resident[-1] - resident[${#resident[@]} / 2]))
if [ "$growth" -lt 2048 ]; then ok "memory does not grow ($growth KB)"; else not_ok "memory does not grow" "$growth KB"; fi

scenario="wrk, which runs Lua in several threads"
"$LJINSPECT_BUILD/ljinspect" run -n 4 -b load.lua:25 -- "$wrk" -t 2 -c 4 -d 1s -s "$stress/load.lua" \
    "http://127.0.0.1:$port" "$plain/bodies" >"$work/wrk" 2>"$work/err"
is "its request() is hit" "$(grep -cE 'hit [1-4]: .*load.lua:25$' "$work/err")" 4
like "with the locals" "$(<"$work/err")" '^    turn = [0-9]+$'
like "its answers are right" "$(<"$work/wrk")" '^wrong 0 $'

scenario="the end"
rm -f "$hooks"
land "$master"
is "nginx shuts down cleanly" "$?" 0
master=''
summary
