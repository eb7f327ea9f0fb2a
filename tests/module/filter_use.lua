-- However a filter gets at info, it finds there what it looks for: parts that it cannot see are not made, others are.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local up = "up"
local function hooked(...)
    local a = up
    local b = a -- HOOK
    return b
end
local line = 0
for text in io.lines(arg[0]) do
    line = line + 1
    if text:match("^    local b = a %-%- HOOK") then break end
end

local got
local function keep(info) got = info end
local function count(info)
    local n = 0
    for _ in pairs(info) do n = n + 1 end
    return n
end
local function run(filter)
    got = nil
    assert(ljinspect.set_hook("filter_use.lua", line, nil, filter))
    hooked("v")
    check.equal(#ljinspect.hooks(), 0, "the filter ran without an error")
    return got
end
local log = {}
ljinspect.set_logger(function(_, message)
    log[#log + 1] = message
    io.stderr:write(message, "\n")
end)

-- by name alone: what is named is there
check.equal(run(function(info) got = info.vals.a end), "up")
check.equal(run(function(info) got = info.uv.up end), "up")
check.equal(run(function(info) got = info.varargs[1] end), "v")
check.equal(run(function(info) got = info.finfo.currentline end), line)
check.equal(run(function(info) got = info["vals"].a .. info.uv.up .. info.varargs.n end), "upup1")
check.equal(run(function(info) local v, u = info.vals, info.uv got = v.a .. u.up end), "upup")
check.equal(run(function(info) if info.vals.a == "up" then got = info.finfo.what end end), "Lua")
check.equal(run(function(info) local info = info.vals got = info.a end), "up")
check.equal(run(function(info) info = info.vals got = info.a end), "up")
check.equal(run(function(info) got = info.nothing == nil end), true)

-- any other way: all is there
local function whole(info, what)
    check.equal(count(info), 4, what)
    check.equal(info.vals.a, "up", what)
    check.equal(info.uv.up, "up", what)
    check.equal(info.varargs[1], "v", what)
    check.equal(info.finfo.currentline, line, what)
end
whole(run(function(info) got = info end), "stored in an upvalue")
whole(run(function(info) keep(info) end), "passed on")
whole(run(function(info) local x = info.vals keep(info) end), "indexed and passed on")
whole(run(function(info) local copy = info got = copy end), "copied")
whole(run(function(...) got = ... end), "a vararg")
whole(run(function(...) local t = { ... } got = t[1] end), "a vararg in a table")
whole(run(function(info) local function f() return info end got = f() end), "captured")
whole(run(function(info) local function f() got = info end f() end), "captured and stored")
whole(run(function(info) local t = { info } got = t[1] end), "in a table constructor")
whole(run(function(info) local t = { x = info } got = t.x end), "in a field")
whole(run(function(info) got = info or nil end), "a condition")
whole(run(function(info) while info do got = info break end end), "a loop condition")
whole(run(function(info) got = (function(x) return x end)(info) end), "an argument of a closure")
whole(run(function(info) return keep(info) end), "a tail call")
whole(run(function(info) info.extra = nil keep(info) end), "written to")
whole(run(function(info) for _ = 1, 1 do keep(info) end end), "in a loop")
whole(run(keep), "another function")
whole(run(setmetatable and function(info) got = setmetatable({}, { __index = info }).vals and info end), "a metatable")
local key = "vals"
check.equal(run(function(info) got = info[key].a end), "up", "by a name that is not known before")
check.equal(run(function(info) got = rawget(info, "uv").up end), "up")
check.equal(run(function(info) for k, v in pairs(info) do if k == "finfo" then got = v.what end end end), "Lua")
check.equal(run(function(info) got = #info end), 0)
check.equal(run(function(info) got = info == nil end), false)
check.equal(run(function(info) local a, b = info, 1 got = a.vals.a .. b end), "up1")
check.equal(#log, 0)
check.done()
