-- examples/plain-lua/logpoints.lua does what it says, in the program it is for.
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local source = arg[0]:match("^(.*)/tests/module/") or "."
local dir = os.tmpname()
os.remove(dir)
assert(os.execute("mkdir -m 700 " .. dir) ~= false)
local run = ("cp %s/examples/plain-lua/logpoints.lua %s/hooks.lua && LJINSPECT_HOOKS_FILE=%s/hooks.lua luajit %s/examples/plain-lua/app.lua 5 2>&1")
    :format(source, dir, dir, source)
local pipe = assert(io.popen(run))
local out = pipe:read("*a")
pipe:close()
os.execute("rm -rf " .. dir)

local _, carts = out:gsub("plain%-lua/app%.lua#23: carol pays [%d.]+ of %d+ for 3 items locals%(cart={", "")
check.equal(carts, 2, out)
check.matches(out, "stack%(%S*app.lua:23 %(price%), %S*app.lua:30")
check.matches(out, "app%.lua#32 %[batches%]: %d+ hits? in [%d.]+ s %([%d.]+/s%); sum: min 135000, mean 135000, max 135000, %[131072, 262144%): %d+")
check.matches(out, "app: done, every batch gave the same result")
check.equal(out:find("plain-lua/app.lua#%d+: hook suspended"), nil, out)
check.equal(out:find("error"), nil, out)
check.done()
