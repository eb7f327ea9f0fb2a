#!/bin/sh
# Where processes cannot be read from outside, the commands that do it say so, and change nothing; the others work.
set -u
: "${LJINSPECT_EMULATOR:=}"
failed=0
ljinspect() { $LJINSPECT_EMULATOR "$LJINSPECT_BUILD/ljinspect" "$@"; }
for command in ps "stack $$" "record -d 1 $$"; do
    # shellcheck disable=SC2086
    said=$(ljinspect $command 2>&1)
    status=$?
    expected="ljinspect: ${command%% *}: processes are read from outside on x86-64 only so far"
    [ $status = 1 ] && [ "$said" = "$expected" ] && continue
    echo "FAILED ljinspect $command: status $status, $said"
    failed=1
done
ljinspect --help >/dev/null || failed=1
ljinspect report --help >/dev/null || failed=1
exit $failed
