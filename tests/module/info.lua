-- What a filter in Lua gets is the same at each hit, the first ones and the later ones, for which names and places are
-- remembered: and it is what the debug library says.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)

-- The table that a filter at this level should get, looked up here.
local function expected()
    local level = 4 -- this, the filter, ljinspect, the hooked function
    local finfo = debug.getinfo(level, "nSlf")
    local vals, uv, varargs = {}, {}, { n = 0 }
    for i = 1, 1000 do
        local name, value = debug.getlocal(level, i)
        if not name or name == "(*temporary)" then break end
        if name:sub(1, 1) ~= "(" then vals[name] = value end
    end
    for i = 1, 1000 do
        local name, value = debug.getupvalue(finfo.func, i)
        if not name then break end
        uv[name] = value
    end
    for i = 1, 1000 do
        local name, value = debug.getlocal(level, -i)
        if not name then break end
        varargs[i], varargs.n = value, i
    end
    return { finfo = finfo, vals = vals, uv = uv, varargs = varargs }
end

local function compare(got, want, what)
    for part, fields in pairs(want) do
        for name, value in pairs(fields) do
            if not rawequal(got[part][name], value) and value == value then
                check.equal(tostring(got[part][name]), tostring(value), what .. ": " .. part .. "." .. name)
            end
        end
        for name in pairs(got[part]) do
            if fields[name] == nil then check.equal(name, nil, what .. ": more than there is in " .. part) end
        end
    end
    check.equal(true, true)
end

local loaded = 0
-- Load code, hook its lines that are marked, run it, and compare each hit. Returns how many there were.
local function run(name, code, ...)
    loaded = loaded + 1
    local chunk = name .. ".lua"
    local f = assert(loadstring(code, "@" .. chunk))
    local lines, n, hits = {}, 0, 0
    for text in (code .. "\n"):gmatch("(.-)\n") do
        n = n + 1
        if text:find("--@", 1, true) then lines[#lines + 1] = n end
    end
    for _, line in ipairs(lines) do
        assert(ljinspect.set_hook(chunk, line, nil, function(info)
            hits = hits + 1
            compare(info, expected(), ("%s:%d, hit %d"):format(chunk, line, hits))
            return false
        end))
    end
    f(...)
    ljinspect.unset_all()
    return hits
end

local up1, up2 = "one", { 2 }
UP1, UP2 = up1, up2
check.equal(run("plain", [[
local u, v, w = UP1, UP2, nil
local function f(a, b, ...)
    local c, d = a, nil
    local x = c --@
    do local c = "inner" x = c --@
    end
    for i = 1, 3 do
        local i = i * 2 x = x .. i --@
    end
    for k, v in pairs { 1, a = 2 } do
        x = x .. tostring(k) .. v --@
    end
    v = v u = u w = w
    return x, ... --@
end
for i = 1, 10 do f(i, nil) f(i, "b", 1, nil, 3, nil) end
]]), 20 * (1 + 1 + 3 + 2 + 1))

-- closures of one function, each with its own upvalues; methods, tail calls, coroutines
check.equal(run("closures", [[
local made = {}
for i = 1, 12 do
    local n, t = i, { i }
    made[i] = function(self, x)
        n = n + x
        return n, t, self --@
    end
end
local object = { method = made[3] }
for round = 1, 3 do
    for i = 1, 12 do made[i](i, round) end
    object:method(round)
    local function tail() return made[2](nil, 1) end
    tail()
    coroutine.wrap(function() made[1](1, 1) coroutine.yield() made[4](nil, 2) end)()
    collectgarbage()
end
]]), 3 * (12 + 1 + 1 + 1))

-- other code in the place of code that is gone, with other names on the same lines
local shapes = { "local a, b = 1, 2", "local b, a = 3, 4", "local alpha = 5", "local a, b, c, d, e, f, g = 1, 2, 3, nil, 5",
    "local z, a = 'z'", "" }
local hits = 0
ljinspect.set_hook("shape.lua", 3, nil, function(info)
    hits = hits + 1
    compare(info, expected(), "shape.lua, hit " .. hits)
    return false
end)
for round = 1, 60 do
    local f = assert(loadstring(("return function(p)\n %s\n return p\nend"):format(shapes[round % #shapes + 1]), "@shape.lua"))()
    for _ = 1, 4 do f(round) end
    f = nil
    collectgarbage()
end
check.equal(hits, 240)
ljinspect.unset_all()

-- as many locals as there can be; names that are no words
local names = {}
for i = 1, 199 do names[i] = ("n%d"):format(i) end
for _, many in ipairs { 7, 170, 180, 181, 182, 183, 184, 185, 186, 187, 199 } do
    check.equal(run("many" .. many, ("local function f(p)\n local %s = p\n for i = 1, 5 do\n  p = p + 1 --@\n end\nend\nf(1) f(2)"):format(
        table.concat(names, ",", 1, many - 6))), 10)
end
check.equal(run('a"b\\c\n', "local \195\164, b\195\182 = 1, 2\nfor i = 1, 4 do\n b\195\182 = i --@\nend"), 4)

-- a value of every kind, and what is not a number
check.equal(run("kinds", [[
local nan, inf, no, yes, none, f, co, ud, big = 0/0, 1/0, false, true, nil, print, coroutine.create(print), io.stdout, 2^53
local has_ffi, ffi = pcall(require, "ffi")
local cdata = has_ffi and ffi.new("int64_t", 7)
for i = 1, 5 do
    nan = -nan --@
end
]]), 5)

-- a filter changes what it was given: the next one gets its own
local seen = {}
ljinspect.set_hook("changed.lua", 2, nil, function(info)
    seen[#seen + 1] = info.vals.x .. (info.vals.y or "") .. (info.finfo.mine or "")
    info.vals.x, info.vals.y, info.finfo.mine, info.uv.z = "changed", "new", "mine", 1
    return false
end)
local changed = assert(loadstring("local x = ...\nreturn x", "@changed.lua"))
for i = 1, 6 do changed("v" .. i) end
check.equal(table.concat(seen, " "), "v1 v2 v3 v4 v5 v6")
ljinspect.unset_all()

-- hooks come and go: nothing is left of the earlier ones
for _ = 1, 20 do
    ljinspect.set_hook("changed.lua", 2, nil, function(info)
        compare(info, expected(), "set again")
        return false
    end)
    for i = 1, 4 do changed(i) end
    ljinspect.unset_all()
    collectgarbage()
end
check.equal(#log, 0, log[1])
check.done()
