-- The engine that was asked for is the one that works, so that a test run under an engine's name is a test of it; and the
-- choice from within.
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
local ljinspect = require "ljinspect"
local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)

local asked = os.getenv("LJINSPECT_ENGINE")
if asked == "" then asked = nil end
ljinspect.set_hook("nowhere.lua", 1, nil, function() end)
check.equal(ljinspect.status().engine, asked or ljinspect.status().engine)

local function text(...)
    local ok, message = ...
    return tostring(ok) .. " " .. tostring(message)
end
local other = asked == "line" and "trap" or "line"
check.equal(text(ljinspect.set_engine(other)), "nil not possible from here", "a hook is set")
check.equal(text(ljinspect.set_engine(asked)), "true nil", "the one that works already")
ljinspect.unset_all()
check.equal(pcall(ljinspect.set_engine, "tarp"), false)
check.equal(pcall(ljinspect.set_engine, {}), false)

local function handler(a)
    local b = a + 1
    return b -- HOOK
end
local here, line = debug.getinfo(1, "S").source, 0
for content in io.lines(here:sub(2)) do
    line = line + 1
    if content:match("return b %-%- HOOK") then break end
end
local hits = 0
local function count(engine)
    hits = 0
    check.equal(ljinspect.status().engine, engine)
    ljinspect.set_hook(here, line, nil, function() hits = hits + 1 return false end)
    for i = 1, 100 do check.equal(handler(i), i + 1) end
    ljinspect.unset_all()
    for i = 1, 100 do handler(i) end
    check.equal(hits, 100, engine)
end
for _ = 1, 3 do
    for _, engine in ipairs { "line", "trap", "line" } do
        if engine == "line" or asked == "trap" or ljinspect.set_engine("trap") then
            check.equal(text(ljinspect.set_engine(engine)), "true nil")
            count(engine)
        else
            check.matches(text(ljinspect.set_engine("trap")), "^nil ")
            count("line")
        end
    end
end

-- from a filter, and while a file is watched
ljinspect.set_hook(here, line, nil, function() check.equal(text(ljinspect.set_engine("trap")), "nil not possible from here") end)
handler(1)
local name = os.tmpname()
check.equal(ljinspect.watch { file = name, delay = 86400, poll = true }, true)
check.equal(text(ljinspect.set_engine("line")), ljinspect.status().engine == "line" and "true nil" or "nil not possible from here")
check.equal(text(ljinspect.set_engine(ljinspect.status().engine == "line" and "trap" or "line")), "nil not possible from here")
ljinspect.destroy()
os.remove(name)

-- from finalizers, which run while hooks are set and removed, too: then the engine that does so stays
local pause, mul = collectgarbage("setpause", 0), collectgarbage("setstepmul", 10000000)
local refused, changed, done, first = 0, 0, false, true
local function finalizer()
    if not first then return end
    ljinspect.unset_all()
    local ok, message = ljinspect.set_engine(ljinspect.status().engine == "line" and asked == "trap" and "trap" or "line")
    if ok then
        changed = changed + 1
    else
        refused = refused + 1
        check.equal(message, "not possible from here")
    end
    getmetatable(newproxy(true)).__gc = finalizer
end
getmetatable(newproxy(true)).__gc = finalizer
for i = 1, 300 do
    ljinspect.set_hook(here, line, nil, function() return false end)
    handler(i)
    ljinspect.hooks()
    string.dump(handler)
    ljinspect.unset_all()
    for j = 1, 10 do local t = { j } end
end
-- the line engine, while it begins to watch a file, and while it looks at a line that is reached
local within = false
local function chooser()
    if done then return end
    if within then
        ljinspect.unset_all()
        ljinspect.set_engine("trap")
    end
    getmetatable(newproxy(true)).__gc = chooser
end
local function keep() return false end
local watched, options = os.tmpname(), { delay = 86400, poll = true }
options.file = watched
first = false
getmetatable(newproxy(true)).__gc = chooser
for _ = 1, 100 do
    ljinspect.set_engine("trap")
    check.equal(text(ljinspect.set_engine("line")), "true nil")
    within = true
    local ok = ljinspect.watch(options)
    within = false
    check.equal(ok, true)
    check.equal(ljinspect.status().engine, "line")
    ljinspect.destroy()
    ljinspect.set_hook(here, line, nil, keep)
    within = true
    local value = handler(1)
    within = false
    check.equal(value, 2)
    ljinspect.unset_all()
end
os.remove(watched)

done = true
collectgarbage("setpause", pause)
collectgarbage("setstepmul", mul)
check.truthy(changed > 0, "engines that finalizers changed")
if asked == "trap" then check.truthy(refused > 0, "changes that were refused") end
ljinspect.unset_all()
check.equal(text(ljinspect.set_engine("line")), "true nil")
count("line")

-- from a finalizer, in which LuaJIT does not let the line engine give the compiler back
local compiles, answer = jit.status(), nil
ljinspect.set_hook(here, line, nil, function() end)
getmetatable(newproxy(true)).__gc = function()
    ljinspect.unset_all()
    answer = text(ljinspect.set_engine("trap"))
end
collectgarbage()
collectgarbage()
ljinspect.unset_all()
check.equal(jit.status(), compiles)
if compiles then
    if asked == "trap" then check.equal(answer, "nil not possible from here") end
    check.equal(ljinspect.status().engine, "line")
end
check.equal(text(ljinspect.set_engine("line")), "true nil")

-- from a logger, while the file that it ceases to watch is looked at
local from_logger
local file = os.tmpname()
ljinspect.set_logger(function(_, message)
    if not message:find("watching hooks file", 1, true) then return end
    ljinspect.destroy()
    from_logger = text(ljinspect.set_engine("trap"))
end)
ljinspect.watch { file = file, delay = 86400 }
check.equal(from_logger, "nil not possible from here")
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)
check.equal(ljinspect.status().engine, "line")
os.remove(file)

-- the best one
check.equal(text(ljinspect.set_engine()), "true nil")
if asked == "trap" then check.equal(ljinspect.status().engine, "trap") end
check.done()
