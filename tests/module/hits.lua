-- What a filter in Lua sees, and when hooks stay and go.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local used, unused = "used", "unused"
local function callee(...)
    local a = 1
    local a, nothing = "inner", nil
    do
        local hidden = true
    end
    local b = used .. a -- HOOK vals
    local later = b
    return later, select("#", ...)
end

-- The line of this file that bears a mark.
local lines = {}
do
    local n = 0
    for text in io.lines(arg[0]) do
        n = n + 1
        local mark = text:match("%-%- HOOK (%w+)")
        if mark then lines[mark] = n end
    end
end
local FILE = "hits.lua"

-- locals, upvalues, varargs, frame
local seen
local id = ljinspect.set_hook(FILE, lines.vals, callee, function(info) seen = info end)
check.equal(type(id), "number")
local r, n = callee("x", nil, false, nil)
check.equal(r, "usedinner", "the result is the program's own")
check.equal(n, 4)
check.truthy(seen, "hit")
check.equal(seen.vals.a, "inner", "the innermost wins")
check.equal(seen.vals.nothing, nil)
check.equal(seen.vals.hidden, nil, "out of scope")
check.equal(seen.vals.b, nil, "not yet assigned")
check.equal(seen.vals.later, nil)
check.equal(seen.uv.used, "used")
check.equal(seen.uv.unused, nil, "only upvalues that the function uses")
check.equal(seen.varargs.n, 4)
check.equal(seen.varargs[1], "x")
check.equal(seen.varargs[3], false)
check.equal(seen.varargs[4], nil)
check.equal(seen.finfo.func, callee)
check.equal(seen.finfo.currentline, lines.vals)
check.equal(seen.finfo.what, "Lua")
check.equal(seen.finfo.name, "callee")
check.equal(seen.finfo.source, "@" .. arg[0])
local expected = debug.getinfo(callee, "S")
for _, field in ipairs { "source", "short_src", "linedefined", "lastlinedefined", "what" } do
    check.equal(seen.finfo[field], expected[field], field)
end
check.equal(ljinspect.getname(seen.finfo), ("%s:%d (callee)"):format(expected.short_src, lines.vals))
for name in pairs(seen.vals) do check.truthy(name:sub(1, 1) ~= "(", name) end
check.equal(#ljinspect.hooks(), 0, "removed: it returned nil")

-- a main chunk has no name; a C function has nothing else
check.equal(ljinspect.getname { what = "main", short_src = "m.lua", currentline = 3, name = "x" }, "m.lua:3")
check.equal(ljinspect.getname { what = "C", name = "print", short_src = "[C]", currentline = -1 }, "print")
check.equal(ljinspect.getname { what = "Lua", short_src = "m.lua", currentline = 3 }, "m.lua:3")
check.equal(ljinspect.getname(debug.getinfo(print)), "?")

-- level 3 is the hooked function
local trace, level3
ljinspect.set_hook(FILE, lines.vals, nil, function(info)
    trace, level3 = debug.traceback("top", 3), debug.getinfo(3, "fl")
end)
callee()
check.matches(trace, "^top\nstack traceback:\n\t[^\n]*hits.lua:" .. lines.vals .. ": in function 'callee'\n")
check.equal(level3.func, callee)
check.equal(level3.currentline, lines.vals)

-- which return values keep a hook
local function lives(value)
    local hits = 0
    ljinspect.set_hook(FILE, lines.vals, nil, function()
        hits = hits + 1
        return value
    end)
    for _ = 1, 3 do callee() end
    ljinspect.unset_all()
    return hits
end
check.equal(lives(false), 3)
check.equal(lives(true), 1)
check.equal(lives(nil), 1)
check.equal(lives(0), 1)
check.equal(lives("false"), 1)

-- two hits of three calls
local left = 2
ljinspect.set_hook(FILE, lines.vals, nil, function()
    left = left - 1
    return left == 0
end)
for _ = 1, 3 do callee() end
check.equal(left, 0)

-- hooks on one line run in the order in which they were set; one that is set meanwhile waits for the next arrival
local order = {}
for i = 1, 3 do
    ljinspect.set_hook(i == 2 and "/" .. FILE or FILE, lines.vals, nil, function()
        order[#order + 1] = i
        if i == 1 then
            ljinspect.set_hook(FILE, lines.vals, nil, function() order[#order + 1] = "new" end)
        end
        return false
    end)
end
callee()
check.equal(table.concat(order, " "), "1 2 3")
callee()
check.equal(table.concat(order, " "), "1 2 3 1 2 3 new")
check.equal(ljinspect.unset_hook("/" .. FILE, lines.vals), 1, "the key is compared as a whole")
check.equal(ljinspect.unset_hook(FILE, lines.vals), 3)
check.equal(ljinspect.unset_hook(FILE, lines.vals), 0)

-- errors: logged with the key, hook removed, host unharmed
local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)
ljinspect.set_hook(FILE, lines.vals, nil, function() error("oops") end)
check.equal((callee()), "usedinner")
check.equal(#log, 1)
check.matches(log[1], "^error ljinspect: hits.lua#" .. lines.vals .. ": error in filter, hook removed: .*hits.lua:%d+: oops$")
ljinspect.set_hook(FILE, lines.vals, nil, function() error({}) end)
callee()
check.matches(log[2], "error object is a table value")
ljinspect.set_hook(FILE, lines.vals, nil, function() coroutine.yield(1) end)
local co = coroutine.wrap(function() return "done " .. callee() end)
check.equal(co(), "done usedinner", "a filter cannot yield")
check.matches(log[3], "attempt to yield")
ljinspect.set_hook(FILE, lines.vals, nil, function() error("a\nb\27[0m") end)
callee()
check.matches(log[4], "a\\nb\\x1b%[0m$", "a value cannot forge a line")
check.equal(#ljinspect.hooks(), 0)

-- a filter may call the hooked function: that is no hit
local depth = 0
ljinspect.set_hook(FILE, lines.vals, nil, function()
    depth = depth + 1
    callee()
    return false
end)
callee()
check.equal(depth, 1)
check.equal(ljinspect.hooks()[1].hits, 1)
ljinspect.unset_all()

-- states
local function nothing_here()
    local x = 1 -- HOOK state
    -- HOOK comment
    return x
end
ljinspect.set_hook(FILE, lines.state, nil, print)
ljinspect.set_hook(FILE, lines.comment, nil, print)
ljinspect.set_hook("not loaded.lua", 1, nil, print)
local list = ljinspect.hooks()
check.equal(list[1].state, "armed")
check.equal(list[1].places, 1)
check.equal(list[1].key, FILE .. "#" .. lines.state)
check.equal(list[1].file, FILE)
check.equal(list[1].line, lines.state)
check.equal(list[2].state, "no code")
check.equal(list[2].nearest[1], lines.comment - 1)
check.equal(list[2].nearest[2], lines.comment + 1)
check.equal(list[3].state, "pending")
check.truthy(list[3].id > list[2].id, "ids grow")
check.equal(ljinspect.unset_all(), 3)
check.equal(nothing_here(), 1)

-- file nil is "=stdin"
local chunk = assert(loadstring("local v = ...\nreturn v + 1", "=stdin"))
local from_stdin
ljinspect.set_hook(nil, 2, nil, function(info) from_stdin = info.vals.v end)
check.equal(ljinspect.hooks()[1].key, "=stdin#2")
check.equal(chunk(41), 42)
check.equal(from_stdin, 41)

-- code that is loaded later, and code in coroutines that were there before
local later_hits = 0
local waiting = coroutine.create(function()
    coroutine.yield()
    return callee()
end)
coroutine.resume(waiting)
ljinspect.set_hook("later.lua", 2, nil, function() later_hits = later_hits + 1 return false end)
ljinspect.set_hook(FILE, lines.vals, nil, function() later_hits = later_hits + 10 return false end)
assert(loadstring("local a = 1\nlocal b = 2\nreturn b", "@/x/later.lua"))()
coroutine.resume(waiting)
check.equal(later_hits, 11)
ljinspect.unset_all()
check.done()
