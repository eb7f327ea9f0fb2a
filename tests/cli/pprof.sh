#!/bin/bash
# What ljinspect record writes for pprof: read by protoc, it is the same as the folded stacks of the same recording.
. "$(dirname "$0")/lib.sh"

# folded FILE: what is in a file for pprof, as folded stacks.
folded() { gzip -dc "$1" | protoc --proto_path="$here" --decode=Profile "$here/profile.proto" | luajit "$here/pprof.lua"; }

start luajit "$here/shares.lua"
sleep 0.2
check "it is recorded" "$ljinspect" record -F 500 -d 3 -o "$work/s.pb.gz" -o "$work/s.folded" -o "$work/s.pprof" "$pid" 2>"$work/said"
stop "$pid"
check "it is whole, as gzip says" gzip -t "$work/s.pb.gz"
check "there are stacks" [ "$(wc -l <"$work/s.folded")" -gt 5 ]
check "there are lines, C functions and the collector" eval \
    'grep -q ";[^;@]*shares.lua:[0-9]* [0-9]*$" "$work/s.folded" && grep -q "\[C\] clock" "$work/s.folded" && grep -q "(garbage collector)" "$work/s.folded"'
check "protoc reads what the folded stacks have" same "$(sort "$work/s.folded")" "$(folded "$work/s.pb.gz" | sort)"
check "the name's end does not matter" cmp "$work/s.pb.gz" "$work/s.pprof"
check "all fields are known" eval '! gzip -dc "$work/s.pb.gz" | protoc --proto_path="$here" --decode=Profile "$here/profile.proto" | grep -qE "^ *[0-9]+[:{ ]"'

# Names that have a meaning somewhere, or none.
start luajit -e 'loadstring("local function odd() local n = 0 for i = 1, 1e9 do n = n + i % 7 end return n end while true do odd() end",
    "@\"quoted\" \\ with: a colon, caf\195\169 \1.lua")()'
sleep 0.2
check "odd names are recorded" "$ljinspect" record -F 500 -d 1 -o "$work/odd.pb.gz" -o "$work/odd.folded" "$pid" 2>"$work/said"
stop "$pid"
check "with quotes and all" eval 'grep -q "\"quoted\" .* with: a colon, café ?.lua" "$work/odd.folded"'
check "they are the same" same "$(sort "$work/odd.folded")" "$(folded "$work/odd.pb.gz" | sort)"

check "a directory that is not there" eval 'start luajit "$here/shares.lua"; sleep 0.2; status 1 "$ljinspect" record -d 0.3 -o "$work/none/x.pb.gz" "$pid"'
stop "$pid"
finished
