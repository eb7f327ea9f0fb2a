-- A program that looks at the clock all the time, until it is killed, and so notices when it did not run. For each half
-- second: when it ended, for how long it ran, and how much of that was lost in gaps. Gaps of more than LONG are those in
-- which other programs ran, and count as no time at all.
local ffi = require "ffi"
ffi.cdef [[
    typedef struct { long s, ns; } bench_time;
    int clock_gettime(int which, bench_time *);
]]
local C, time, MONOTONIC = ffi.C, ffi.new "bench_time", 1
local SHORT, LONG, PIECE = 0.7e-6, 400e-6, 0.5 -- seconds
local function now()
    C.clock_gettime(MONOTONIC, time)
    return tonumber(time.s) + tonumber(time.ns) * 1e-9
end

local function spin()
    local begin = now()
    local last, gaps, others = begin, 0, 0
    repeat
        local t = now()
        local gap = t - last
        last = t
        if gap > SHORT then
            if gap < LONG then gaps = gaps + gap else others = others + gap end
        end
    until last - begin > PIECE
    return last, last - begin - others, gaps
end

io.stdout:setvbuf "line"
while true do print(("%.6f %.6f %.9f"):format(spin())) end
