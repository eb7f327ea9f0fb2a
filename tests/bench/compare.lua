-- What other ways to look into a running Lua program cost, beside ljinspect, on the same loop (workload.lua). Each measurement
-- of a variant stands between two without anything, and its ratio is to these; how often the wanted line was noticed is
-- counted. What is not there is not measured, and that is said. Usage: luajit compare.lua [ROUNDS]; see compare.sh.
--
-- LJINSPECT_COMPARE is a directory with the others' files, as they are distributed: apisix/inspect/dbg.lua, mobdebug.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local others = os.getenv("LJINSPECT_COMPARE")
package.path = here .. "/?.lua;" .. (others and others .. "/?.lua;" or "") .. package.path
local work = require "workload"
local ljinspect = require "ljinspect"

local ffi = require "ffi"
ffi.cdef [[
typedef struct { long tv_sec; long tv_nsec; } lj_compare_timespec;
int clock_gettime(int, lj_compare_timespec *);
]]
local ts = ffi.new("lj_compare_timespec")
local function now() -- CPU time of the process: some of the others have a thread of their own
    ffi.C.clock_gettime(2, ts)
    return tonumber(ts.tv_sec) * 1e9 + tonumber(ts.tv_nsec)
end

local rounds = tonumber(arg[1] or 15)
local FILE, LINE = "bench/workload.lua", work.hook_line
local ELSEWHERE = 5 -- a line of the same file that does not run any more
local hits = 0
local variants, missing = {}, {}

-- n: how many requests a measurement has, and is warmed up with. on: switches it on and returns what switches it off.
-- expects: true where the line must be noticed each time, "may be none" where that is to be seen.
local function variant(name, n, on, expects) variants[#variants + 1] = {name = name, n = n, on = on, expects = expects} end

-- ---- ljinspect ----

local function hook(line, filter)
    return function()
        assert(ljinspect.set_hook(FILE, line, nil, filter))
        return ljinspect.unset_all
    end
end
variant("ljinspect: a hook that is hit once per request, reads a local", 1000, hook(LINE, function(info)
    hits = hits + 1
    return info.vals.conf_key == "no such key"
end), true)
variant("ljinspect: a hook in table form, a condition that is false", 1000, function()
    assert(ljinspect.set_hook {file = FILE, line = LINE, condition = "conf_key == 99", log = "{conf_key}", budget = 0})
    return function()
        hits = ljinspect.hooks()[1].hits
        ljinspect.unset_all()
    end
end, true)
variant("ljinspect: a hook on a line that does not run", 1000, hook(ELSEWHERE, function() hits = hits + 1 return false end))

-- ---- LuaJIT's own debug.sethook ----

local function line_hook(jit_too)
    return function()
        if not jit_too then
            jit.off()
            jit.flush()
        end
        debug.sethook(function(_, line) if line == LINE then hits = hits + 1 end end, "l")
        return function()
            debug.sethook()
            jit.on()
        end
    end
end
variant("debug.sethook, a line hook that compares the line number", 100, line_hook(false), true)
variant("the same, the compiler left on, its code kept", 100, line_hook(true), "may be none")

-- ---- Apache APISIX's inspect plugin: its hooks, without its timer ----

-- Ours has a module of this name: theirs is loaded from its file. All that it wants of APISIX is a log.
local theirs = others and loadfile(others .. "/apisix/inspect/dbg.lua")
if theirs then
    local function silent() end
    package.loaded["apisix.core"] = {log = {error = error, warn = silent, info = silent}}
    local inspect = theirs()
    local function filter(info)
        hits = hits + 1
        return info.vals.conf_key == "no such key"
    end
    for _, v in ipairs {{"no function named", nil}, {"the hooked function named", work.hooked}} do
        variant("inspect plugin: a hook that is hit once per request, " .. v[1], 100, function()
            inspect.set_hook(FILE, LINE, v[2], filter)
            return inspect.unset_all
        end, v[2] == nil or "may be none")
    end
    variant("inspect plugin: a hook on a line that does not run", 100, function()
        inspect.set_hook(FILE, ELSEWHERE, nil, filter)
        return inspect.unset_all
    end)
else
    missing[#missing + 1] = "inspect plugin (no apisix/inspect/dbg.lua in LJINSPECT_COMPARE)"
end

-- ---- jit.p and jit.v, which LuaJIT comes with ----

for _, mode in ipairs {"f", "l"} do
    local found, profiler = pcall(require, "jit.p")
    if found then
        variant(("jit.p, mode %s, 10 ms (100 samples a second)"):format(mode), 10000, function()
            profiler.start(mode .. "i10", "/dev/null")
            return profiler.stop
        end)
    else
        missing[#missing + 1] = "jit.p"
    end
end
local found, dump = pcall(require, "jit.v")
if found then
    variant("jit.v", 10000, function()
        dump.on("/dev/null")
        return dump.off
    end)
else
    missing[#missing + 1] = "jit.v"
end

-- ---- MobDebug ----

-- It stands at each hit until the controller, another process that compare.sh starts, says to go on: so a line that does not run.
local port = tonumber(os.getenv("LJINSPECT_MOBDEBUG_PORT"))
if port then
    local started, mobdebug = false, require "mobdebug"
    variant(("MobDebug %s: a breakpoint on a line that does not run"):format(mobdebug._VERSION), 100, function()
        jit.off() -- as it does by itself when it is loaded
        jit.flush()
        if started then mobdebug.on() else started = assert(mobdebug.start("127.0.0.1", port), "no controller answers") end
        return mobdebug.off
    end)
else
    missing[#missing + 1] = "MobDebug (see compare.sh)"
end

-- ---- Measured ----

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

local function measure(n, on)
    local off = on()
    work.batch(n)
    hits = 0
    local t0 = now()
    work.batch(n)
    local t = (now() - t0) / n
    off()
    return t
end
local function nothing() return function() end end

-- What one leaves to the compiler must not count as the next one's.
local function fresh()
    jit.flush()
    jit.on()
    work.batch(2000)
end

local function compare(v)
    local ratios, times = {}, {}
    for i = 1, rounds do
        fresh()
        local before = measure(1000, nothing)
        times[i] = measure(v.n, v.on)
        local noticed = hits
        fresh()
        ratios[i] = times[i] / ((before + measure(1000, nothing)) / 2)
        hits = noticed
    end
    assert(v.expects ~= true or hits >= v.n, v.name .. ": it was hit " .. hits .. " times of " .. v.n)
    table.sort(ratios)
    print(("  %-78s %9.1f %8.2f  %6.2f to %-6.2f %s"):format(v.name, median(times) / 1000, median(ratios), ratios[1],
        ratios[rounds], v.expects and ("%d of %d"):format(math.min(hits, v.n), v.n) or "-"))
    io.stdout:flush()
end

print(("%s, %s, ljinspect %s, engine %s, %d rounds"):format(jit.version, jit.arch, ljinspect._VERSION,
    ljinspect.status().engine, rounds))
print(("  %-78s %9s %8s  %-16s %s"):format("", "us/request", "ratio", "least to most", "line noticed"))
for _, v in ipairs(variants) do compare(v) end
for _, name in ipairs(missing) do print("  NOT MEASURED: " .. name) end
