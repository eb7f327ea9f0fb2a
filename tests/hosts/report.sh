# What the tests of hosts report with: sourced. $results is a file, $scenario what is being tried, $log the file to show
# where a check fails.
# shellcheck shell=bash

# shellcheck disable=SC2034,SC2154  # what is set here is used by those that source it, and the other way round
deadline_seconds=10

# ---- Reporting ----

# Results are lines of $results ("ok", "not ok", "todo"), for subshells count too. Where $todo is set it says why a
# check is known to fail.
report() { # ok|not\ ok, text
    if [ -n "$todo" ]; then echo todo; else echo "$1"; fi >>"$results"
    echo "$1 $(wc -l <"$results") - $scenario: $2${todo:+ # TODO $todo}"
}

ok() { report ok "$1"; }

not_ok() { # text, details...
    report "not ok" "$1"
    [ -z "$todo" ] || return 0
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" | cut -c 1-400 | head -n 12 | sed 's/^/#   /'
    printf '# the log:\n'
    grep -v "keepalive connection" "$log" 2>/dev/null | tail -n 25 | cut -c 1-400 | sed 's/^/#   | /'
}

skip() { report ok "$1 # SKIP $2"; }

# is TEXT GOT EXPECTED
is() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $3" "got:      $2"; fi
}

# like TEXT GOT REGEX
like() {
    if grep -qE -- "$3" <<<"$2"; then ok "$1"; else not_ok "$1" "expected: $3" "got:      $2"; fi
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Repeat a command until it is true. False when it is not within $deadline_seconds.
await() {
    local end=$(($(now_ms) + deadline_seconds * 1000))
    until "$@"; do
        [ "$(now_ms)" -lt "$end" ] || return 1
        sleep 0.01
    done
}

# A process that ended is a zombie until it is waited for.
exited() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# The end of a test: its exit code.
summary() {
    local total failed todo
    total=$(wc -l <"$results")
    failed=$(grep -c '^not ok' "$results")
    todo=$(grep -c '^todo' "$results")
    echo "1..$total"
    echo "# $((total - failed - todo)) of $total checks passed, $failed failed, $todo known limits"
    [ "$failed" -eq 0 ] && [ "$total" -gt 0 ]
}
