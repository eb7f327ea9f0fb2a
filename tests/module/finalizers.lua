-- A hooks file comes into force while finalizers of the program set and remove hooks: in the end each hook that is listed
-- is hit, and no other.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
ljinspect.set_logger(function() end)

local dir = os.tmpname()
os.remove(dir)
local made = os.execute("mkdir -m 700 " .. dir)
assert(made == 0 or made == true) -- true with LUAJIT_ENABLE_LUA52COMPAT
local path = dir .. "/hooks.lua"

-- One function per hook, each in a chunk of its own.
local functions, N = {}, 40
for i = 1, N do functions[i] = assert(loadstring("local x = ...\nreturn x", ("@part/f%d.lua"):format(i))) end

HITS = {}
local function filter_of(i) return function() HITS[i] = (HITS[i] or 0) + 1 return false end end
FILTER_OF = filter_of

-- A finalizer in each collection, which sets one hook and removes another.
local runs, changes, active = 0, 0, true
local function finalizer()
    runs = runs + 1
    local listed = ljinspect.hooks()
    if active and #listed > 2 then
        changes = changes + 1
        local i = changes % N + 1
        ljinspect.set_hook(("part/f%d.lua"):format(i), 2, nil, filter_of(i))
        if changes % 2 == 0 then ljinspect.unset_hook(listed[changes * 7 % #listed + 1].file, 2) end
    end
    if active then getmetatable(newproxy(true)).__gc = finalizer end
end

local text = {} -- hooks half of the functions; the other half gets hooks by finalizers only
for i = 1, N / 2 do text[i] = ("L.set_hook('part/f%d.lua', 2, nil, FILTER_OF(%d))"):format(i, i) end
local function write(round)
    local f = assert(io.open(path, "w"))
    f:write("local L = require 'ljinspect' -- round " .. round .. "\n" .. table.concat(text, "\n"))
    f:close()
end

check.equal(ljinspect.watch { file = path, delay = 86400, poll = true }, true)
collectgarbage("setpause", 0)
collectgarbage("setstepmul", 10000000)
getmetatable(newproxy(true)).__gc = finalizer
for round = 1, 10 do
    write(round)
    check.equal(ljinspect.poll(), true)
    active = false
    local want = {}
    for _, h in ipairs(ljinspect.hooks()) do
        local i = tonumber(h.key:match("f(%d+)%.lua"))
        want[i] = (want[i] or 0) + 1
    end
    HITS = {}
    for i = 1, N do check.equal(functions[i](i), i) end
    for i = 1, N do check.equal(HITS[i], want[i], "round " .. round .. ", hooks of f" .. i) end
    active = true
    getmetatable(newproxy(true)).__gc = finalizer
end
active = false
check.equal(runs > 100 and changes > 50, true, runs .. " finalizers, " .. changes .. " changes")
ljinspect.unset_all()
HITS = {}
for i = 1, N do functions[i](i) end
check.equal(next(HITS), nil, "no hook is left")
ljinspect.destroy()
os.execute("rm -r " .. dir)
print(("%d finalizers changed hooks %d times"):format(runs, changes))
check.done()
