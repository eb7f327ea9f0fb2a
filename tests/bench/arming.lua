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
measure("100 hooks, one by one", 100)

-- The same by a hooks file, in force as a whole; and by an empty one.
local function measure_file(title, hooks)
    local dir = os.tmpname()
    os.remove(dir)
    local made = os.execute("mkdir -m 700 " .. dir)
    assert(made == 0 or made == true) -- true with LUAJIT_ENABLE_LUA52COMPAT
    local path = dir .. "/hooks.lua"
    local function write(text)
        local f = assert(io.open(path, "w"))
        f:write(text)
        f:close()
    end
    local text = { "local set = require('ljinspect').set_hook" }
    for i = 1, hooks do
        text[i + 1] = ("set('module50.lua', %d, nil, function() return false end)"):format(3 + 4 * i)
    end
    text = table.concat(text, "\n")
    ljinspect.set_logger(function() end)
    write("")
    assert(ljinspect.watch { file = path, delay = 86400, poll = true })
    ljinspect.poll()
    local set, unset = {}, {}
    for r = 1, rounds do
        write(text .. " -- " .. r)
        local t0 = now()
        assert(ljinspect.poll())
        set[r] = now() - t0
        write("-- " .. r)
        t0 = now()
        assert(ljinspect.poll())
        unset[r] = now() - t0
    end
    ljinspect.destroy()
    os.execute("rm -r " .. dir)
    print(("  %-45s %12.3f %12.3f"):format(title, median(set), median(unset)))
end
measure_file("a hooks file with 1 hook", 1)
measure_file("a hooks file with 100 hooks", 100)
measure_file("a hooks file with 1,000 hooks", 1000)
assert(kept[50][1](1, 2) == 3)
