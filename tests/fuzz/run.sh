#!/bin/bash
# run.sh DIRECTORY SECONDS [NAME...]: run each fuzzer that was built in DIRECTORY, or those named, for SECONDS. What they learn is
# kept in DIRECTORY/corpus. An input that fails is kept in DIRECTORY/failed, and its report shown; exit status 1 then.
set -u
here=$(cd "$(dirname "$0")" && pwd)
directory=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- "$directory"/fuzz_*
status=0 ran=0
for fuzzer; do
    name=$(basename "${fuzzer#fuzz_}")
    name=${name#fuzz_}
    [ -x "$directory/fuzz_$name" ] || continue
    ran=$((ran + 1))
    mkdir -p "$directory/corpus/$name" "$directory/failed"
    seeds=$here/corpus/$name
    [ "$name" != heap ] || seeds=$here/corpus/image
    ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} "$directory/fuzz_$name" -max_total_time="$seconds" -timeout=25 \
        -rss_limit_mb=2500 -max_len=32768 -len_control=20 -artifact_prefix="$directory/failed/$name-" \
        "$directory/corpus/$name" "$seeds" >"$directory/$name.log" 2>&1
    if [ $? -eq 0 ]; then
        sed -n "s/^#\([0-9]*\)[[:space:]]*DONE *cov: \([0-9]*\).*/ok - $name: \1 inputs, \2 places in the code/p" "$directory/$name.log"
    else
        echo "not ok - $name"
        grep -v -E '^(#[0-9]|INFO|[[:space:]]*NEW)' "$directory/$name.log" | tail -n 60
        status=1
    fi
done
[ $ran -gt 0 ] || { echo "no fuzzer in $directory"; exit 1; }
exit $status
