#!/bin/sh
# The long torture: long.sh RUN SECONDS SEED TORTURE
#   RUN      tests/run.sh with its first arguments, as one word
#   SECONDS  nothing is begun after these
#   SEED     of the first round, one more for each of the next
#   TORTURE  the program built from torture.c
# A round: both sets of programs and 1000 random ones, on both LuaJITs, with both engines, in all ways. Exit status 1 after a difference.
set -u
run=$1 seconds=$2 seed=$3 torture=$4
here=$(cd "$(dirname "$0")" && pwd)
begin=$(date +%s)
passed() { echo $(($(date +%s) - begin)); }
echo "torture: $seconds seconds from seed $seed on"
while true; do
    for set in programs debian random; do
        for luajit in luajit luajit2; do
            for engine in trap line; do
                [ "$(passed)" -lt "$seconds" ] || exit 0
                at=$seed
                [ $set != random ] || at=$((seed % 1000000 * 1000))
                # shellcheck disable=SC2086
                LJINSPECT_ENGINE=$engine TORTURE_SEED=$at TORTURE_PROGRAMS=1000 TORTURE_WAYS=long TORTURE_LONG=1 \
                    $run $luajit "$here/run.sh" "$torture" $set
                status=$?
                [ $status = 0 ] || [ $status = 77 ] || exit 1
            done
        done
    done
    echo "torture: all of seed $seed done after $(passed) seconds"
    seed=$((seed + 1))
done
