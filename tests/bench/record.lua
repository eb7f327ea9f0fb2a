-- Work, interpreted and compiled, until it is killed. For each piece of it, some 0.1 seconds: when it ended, and how long
-- it took by the clock and of the processor.
local ffi = require "ffi"
ffi.cdef [[
    typedef struct { long s, ns; } bench_time;
    int clock_gettime(int which, bench_time *);
]]
local MONOTONIC, THREAD = 1, 3
local time = ffi.new "bench_time"
local function now(clock)
    ffi.C.clock_gettime(clock, time)
    return tonumber(time.s) + tonumber(time.ns) / 1e9
end

local function compiled(n)
    local s = 0
    for i = 1, n do s = s + i % 7 end
    return s
end
local function interpreted(n)
    local t = {}
    for i = 1, n do t[#t + 1] = tostring(i) .. "x" end
    return #table.concat(t)
end
jit.off(interpreted)

io.stdout:setvbuf "line"
while true do
    local clock, processor = now(MONOTONIC), now(THREAD)
    for _ = 1, 8 do
        compiled(2e6)
        interpreted(2e4)
    end
    local ended = now(MONOTONIC)
    print(("%.6f %.6f %.6f"):format(ended, ended - clock, now(THREAD) - processor))
end
