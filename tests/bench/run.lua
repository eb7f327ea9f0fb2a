-- Speed with and without hooks, in one process, the variants in alternation, so that what else the machine does meets
-- all of them alike. Usage: luajit run.lua [ROUNDS]. Prints a table; each figure is the median of the rounds.
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

local rounds = tonumber(arg[1] or 9)
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

local function armed(file, line, filter)
    return function()
        local hits = 0
        assert(ljinspect.set_hook(file, line, nil, function(info)
            hits = hits + 1
            return filter(info)
        end))
        return function()
            ljinspect.unset_all()
            return hits
        end
    end
end

local function keep() return false end
local function nothing() return function() return 0 end end

local variants = {
    { name = "no hooks", n = 3000, run = work.batch, on = nothing },
    { name = "ljinspect, hit once per request", n = 1000, run = work.batch, hit = true,
        on = armed(FILE, work.hook_line, keep) },
    { name = "ljinspect, hook on code that never runs", n = 1000, run = work.batch, on = armed("no/such/file.lua", 1, keep) },
    { name = "line hook in Lua, as the plugins do it", n = 30, run = work.batch, hit = true,
        on = function() return rival_on(work.hook_line) end },
    { name = "no hooks, after all were removed", n = 3000, run = work.batch, on = nothing },
}

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

-- ns per unit of one round: a warm-up of the same length first, so that what can be compiled is.
local function measure(variant)
    local off = variant.on()
    variant.run(variant.n)
    local t0 = now()
    variant.run(variant.n)
    local t = (now() - t0) / variant.n
    local hits = off()
    assert(not variant.hit or hits >= 2 * variant.n, "the hook was not hit: the line in workload.lua has moved")
    return t, hits
end

local function compare(title, unit, list)
    for _, v in ipairs(list) do v.times = {} end
    for _ = 1, rounds do
        for _, v in ipairs(list) do
            local t, hits = measure(v)
            v.times[#v.times + 1] = t
            v.hits = hits
        end
    end
    print(("\n%s\n  %-45s %14s %9s %8s"):format(title, "", unit, "ratio", "hits"))
    for _, v in ipairs(list) do
        v.median = median(v.times)
        print(("  %-45s %14.1f %8.2fx %8d"):format(v.name, v.median, v.median / list[1].median, v.hits))
    end
end

print(("%s, %s, ljinspect %s, engine %s, %d rounds"):format(jit.version, jit.arch, ljinspect._VERSION,
    ljinspect.status().engine, rounds))

compare("A request-like loop, CPU time per request", "ns/request", variants)

-- The speed of a hooked function and its caller before any hook, and after the hook was hit and removed.
local before = { name = "before any hook", n = 20000000, run = work.steps, on = nothing }
local after = { name = "after a hook in it was hit and removed", n = 20000000, run = work.steps, on = function()
    local off = armed(FILE, work.step_line, keep)()
    work.steps(20000)
    assert(off() >= 20000, "the hook was not hit: the line in workload.lua has moved")
    return function() return 0 end
end }
compare("A hot function inlined into its caller, CPU time per call", "ns/call", { before, after })
