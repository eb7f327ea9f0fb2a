-- Speed with and without hooks, in one process. Each measurement of a variant stands between two of the first variant,
-- and its ratio is to these, so that what else the machine does meets both alike. Usage: luajit run.lua [ROUNDS]. Prints
-- a table; each figure is the median of the rounds.
local ljinspect = require "ljinspect"
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local work = require "workload"

local ffi = require "ffi"
ffi.cdef [[
typedef struct { long tv_sec; long tv_nsec; } lj_bench_timespec;
int clock_gettime(int, lj_bench_timespec *);
]]
local ts = ffi.new("lj_bench_timespec")
local function now() -- CPU time of this thread: what other processes do does not count
    ffi.C.clock_gettime(3, ts)
    return tonumber(ts.tv_sec) * 1e9 + tonumber(ts.tv_nsec)
end

local rounds = tonumber(arg[1] or 25)
local FILE = "bench/workload.lua"

-- The rival, written anew after the way the Lua plugins do it: a line hook in Lua that compares keys.
local function rival_on(line)
    local key, hits = FILE .. "#" .. line, 0
    jit.flush()
    jit.off()
    debug.sethook(function(_, at)
        local info = debug.getinfo(2, "nSlf")
        local here_key = info.source .. "#" .. at
        if here_key:sub(-#key) == key then hits = hits + 1 end
    end, "l")
    return function()
        debug.sethook()
        jit.on()
        return hits
    end
end

-- What the filter reads of a hit is all that ljinspect collects (src/filter_use.h), so each is written out.
local HITS = 0
local function looks_at_nothing() HITS = HITS + 1 return false end
local function reads_a_local(info) HITS = HITS + 1 return info.vals.conf_key == "no such key" end
local function reads_all(info)
    local finfo, vals, uv, varargs = info.finfo, info.vals, info.uv, info.varargs
    HITS = HITS + 1
    return not (finfo.currentline and vals.conf_key and uv and varargs)
end

local function armed(file, line, filter)
    return function()
        HITS = 0
        assert(ljinspect.set_hook(file, line, nil, filter))
        return function()
            ljinspect.unset_all()
            return HITS
        end
    end
end

local function nothing() return function() return 0 end end

-- What a hook cannot spare the program: a hooked function is not compiled, and LuaJIT's compiled code cannot call one
-- that is not.
local function not_compiled()
    jit.off(work.hooked)
    jit.flush()
    return function()
        jit.on(work.hooked)
        jit.flush()
        return 0
    end
end

local variants = {
    { name = "no hooks", n = 1000, run = work.batch, on = nothing },
    { name = "a hit per request, filter that rejects", n = 1000, warm = 10000, run = work.batch, hit = true,
        on = armed(FILE, work.hook_line, looks_at_nothing) },
    { name = "the same, first 1,000 requests after it was set", n = 1000, warm = 0, run = work.batch, hit = true,
        on = armed(FILE, work.hook_line, looks_at_nothing) },
    { name = "a hit per request, filter that reads a local", n = 1000, warm = 10000, run = work.batch, hit = true,
        on = armed(FILE, work.hook_line, reads_a_local) },
    { name = "a hit per request, filter that reads all", n = 1000, warm = 10000, run = work.batch, hit = true,
        on = armed(FILE, work.hook_line, reads_all) },
    { name = "no hooks, that function not compiled", n = 1000, warm = 10000, run = work.batch, on = not_compiled },
    { name = "a hook on code that never runs", n = 1000, run = work.batch, on = armed("no/such/file.lua", 1, looks_at_nothing) },
    { name = "line hook in Lua, as the plugins do it", n = 30, run = work.batch, hit = true,
        on = function() return rival_on(work.hook_line) end },
    { name = "no hooks, after all were removed", n = 1000, run = work.batch, on = nothing },
}

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

-- ns per unit of one round, after a warm-up in which the compiler does what it will do.
local function measure(variant)
    local off = variant.on()
    variant.run(variant.warm or variant.n)
    local t0 = now()
    variant.run(variant.n)
    local t = (now() - t0) / variant.n
    local hits = off()
    assert(not variant.hit or hits >= variant.n, "the hook was not hit: the line in workload.lua has moved")
    return t, hits
end

local function compare(title, unit, list)
    local base = list[1]
    for _, v in ipairs(list) do v.times, v.ratios = {}, {} end
    for _ = 1, rounds do
        local before = measure(base)
        for i = 2, #list do
            local v = list[i]
            local t, hits = measure(v)
            local after = measure(base)
            v.times[#v.times + 1] = t
            v.ratios[#v.ratios + 1] = t / ((before + after) / 2)
            v.hits = hits
            base.times[#base.times + 1] = after
            before = after
        end
    end
    base.ratios, base.hits = { 1 }, 0
    print(("\n%s\n  %-45s %14s %9s %8s"):format(title, "", unit, "ratio", "hits"))
    for _, v in ipairs(list) do
        print(("  %-45s %14.1f %8.2fx %8d"):format(v.name, median(v.times), median(v.ratios), v.hits))
    end
end

print(("%s, %s, ljinspect %s, engine %s, %d rounds"):format(jit.version, jit.arch, ljinspect._VERSION,
    ljinspect.status().engine, rounds))

compare("A request-like loop, CPU time per request", "ns/request", variants)

-- The speed of a hooked function and its caller before any hook, and after the hook was hit and removed.
local before = { name = "before any hook", n = 5000000, run = work.steps, on = nothing }
local after = { name = "after a hook in it was hit and removed", n = 5000000, run = work.steps, on = function()
    local off = armed(FILE, work.step_line, looks_at_nothing)()
    work.steps(20000)
    assert(off() >= 20000, "the hook was not hit: the line in workload.lua has moved")
    return function() return 0 end
end }
compare("A hot function inlined into its caller, CPU time per call", "ns/call", { before, after })
