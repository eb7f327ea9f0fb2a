-- How long setting and removing a hook takes in a VM with 100,000 functions. Wall-clock time, median of the rounds.
local ljinspect = require "ljinspect"
local ffi = require "ffi"
ffi.cdef [[
typedef struct { long tv_sec; long tv_nsec; } lj_arm_timespec;
int clock_gettime(int, lj_arm_timespec *);
]]
local ts = ffi.new("lj_arm_timespec")
local function now()
    ffi.C.clock_gettime(1, ts)
    return tonumber(ts.tv_sec) * 1e3 + tonumber(ts.tv_nsec) / 1e6
end

local rounds = tonumber(arg[1] or 15)
local kept = {}
for chunk = 1, 100 do
    local text = { "local t = {}" }
    for i = 1, 1000 do
        text[#text + 1] = ("t[%d] = function(a, b)\n local c = a + b\n return c * %d\nend"):format(i, i)
    end
    text[#text + 1] = "return t"
    kept[chunk] = assert(loadstring(table.concat(text, "\n"), "@module" .. chunk .. ".lua"))()
end
collectgarbage()

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

local function measure(title, hooks)
    local set, unset = {}, {}
    for r = 1, rounds do
        local t0 = now()
        for i = 1, hooks do assert(ljinspect.set_hook("module50.lua", 3 + 4 * i, nil, function() return false end)) end
        local t1 = now()
        assert(ljinspect.unset_all() == hooks)
        set[r], unset[r] = t1 - t0, now() - t1
    end
    print(("  %-45s %12.3f %12.3f"):format(title, median(set), median(unset)))
end

print(("\nSetting hooks among 100,000 functions, engine %s, %d rounds\n  %-45s %12s %12s"):format(ljinspect.status().engine,
    rounds, "", "set ms", "unset ms"))
measure("one hook", 1)
measure("100 hooks", 100)
assert(kept[50][1](1, 2) == 3)
