-- From a change of the hooks file to the first hit, in a VM that is busy with requests. Wall-clock time. (A VM that does
-- not leave compiled code and allocates nothing is not reached at all: see README, Limits.)
local ljinspect = require "ljinspect"
local ffi = require "ffi"
ffi.cdef [[
typedef struct { long tv_sec; long tv_nsec; } lj_change_timespec;
int clock_gettime(int, lj_change_timespec *);
]]
local ts = ffi.new("lj_change_timespec")
function NOW()
    ffi.C.clock_gettime(1, ts)
    return tonumber(ts.tv_sec) * 1e3 + tonumber(ts.tv_nsec) / 1e6
end

local changes = tonumber(arg[1]) or 200
local dir = os.tmpname()
os.remove(dir)
local made = os.execute("mkdir -m 700 " .. dir)
assert(made == 0 or made == true) -- true with LUAJIT_ENABLE_LUA52COMPAT
local path = dir .. "/hooks.lua"
ljinspect.set_logger(function() end)
assert(ljinspect.init(3, path))

package.path = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/?.lua;" .. package.path
local work = require "workload"

local times = {}
for n = 1, changes do
    HIT = nil
    local f = assert(io.open(path .. ".new", "w"))
    f:write(("require('ljinspect').set_hook('bench/workload.lua', %d, nil, function() HIT = NOW() return true end) -- %d"):format(
        work.hook_line, n))
    f:close()
    work.batch(100) -- no hook is set: the VM runs at full speed
    local t0 = NOW()
    assert(os.rename(path .. ".new", path))
    local limit = t0 + 20000
    while not HIT do
        work.batch(10)
        assert(NOW() < limit, "no hit within 20 seconds")
    end
    times[n] = HIT - t0
end
ljinspect.destroy()
os.execute("rm -r " .. dir)
table.sort(times)
print(("\nFrom a change of the hooks file to the first hit, engine %s, %d changes"):format(ljinspect.status().engine, changes))
print(("  median %.2f ms, p99 %.2f ms, longest %.2f ms"):format(times[math.ceil(changes / 2)],
    times[math.ceil(changes * 0.99)], times[changes]))
