-- A hooks file from the Lua side: applied as a whole or not at all, by poll() and by itself.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)
local function last() return log[#log] end

local compiler_was_on = jit.status() -- false where LuaJIT has none
-- A directory of our own: one that others may write to is refused.
local dir = os.tmpname()
os.remove(dir)
local made = os.execute("mkdir -m 700 " .. dir)
assert(made == 0 or made == true) -- true with LUAJIT_ENABLE_LUA52COMPAT
local path = dir .. "/hooks.lua"
local function write(text, to)
    local f = assert(io.open(to or path, "w"))
    assert(f:write(text))
    f:close()
end

local function handler(i)
    local value = i * 2
    return value -- HOOK
end
local line = 0
for text in io.lines(arg[0]) do
    line = line + 1
    if text:match("return value %-%- HOOK") then break end
end
local set = ('require("ljinspect").set_hook("hooksfile.lua", %d, nil, function(info) SEEN = info.vals.value return false end)')
    :format(line)

-- not there yet; looked at once a day, so that what happens here happens in poll()
check.equal(ljinspect.watch { file = path, delay = 86400, poll = true }, true)
check.equal(ljinspect.status().file, path)
check.equal(ljinspect.status().watcher, "polling")
check.equal(ljinspect.poll(), false)

-- appears
write(set)
check.equal(ljinspect.poll(), true)
check.matches(last(), "^info ljinspect: hooks file " .. path .. " applied: 1 hook: hooksfile.lua#" .. line .. " %(armed%)$")
handler(21)
check.equal(SEEN, 42)
check.equal(ljinspect.poll(), false, "nothing new")

-- what fails leaves the hooks as they were
for _, bad in ipairs { "x = = 1", "local x = nil\nx()", set .. " error('half-way')", "coroutine.yield()", "\27LJ\2" } do
    write(bad)
    local ok, message = ljinspect.poll()
    check.equal(ok, nil)
    check.equal(message, "the hooks file failed")
    check.matches(last(), "^error ljinspect: hooks file " .. path .. " failed, hooks left as they were: ")
    check.equal(#ljinspect.hooks(), 1, bad)
    check.equal(ljinspect.hooks()[1].hits, 1, "the very same hook")
end
write("\n\nlocal x = nil\nx()")
ljinspect.poll()
check.matches(last(), "hooks.lua:4: attempt to call local 'x'", "with file and line")

-- replaces all hooks, those set otherwise too
ljinspect.set_hook("elsewhere.lua", 3, nil, print)
write(set .. " " .. set)
check.equal(ljinspect.poll(), true)
check.equal(#ljinspect.hooks(), 2)
check.equal(ljinspect.hooks()[1].hits, 0)

-- empty
write("")
check.equal(ljinspect.poll(), true)
check.equal(#ljinspect.hooks(), 0)
check.equal(jit.status(), compiler_was_on, "the compiler is on again")

-- what a hooks file may call
write("local l = require 'ljinspect' POLLED = l.poll() l.unset_all() l.set_hook('a.lua', 1, nil, print) N = #l.hooks() "
    .. "OTHER, WHY = l.init(1, '/other') SAME = l.watch{file = '" .. path .. "', delay = 86400, poll = true}")
check.equal(ljinspect.poll(), true)
check.equal(POLLED, false)
check.equal(N, 1)
check.equal(OTHER, nil)
check.equal(WHY, "not possible from here")
check.equal(SAME, true)
check.equal(ljinspect.status().file, path)

-- removed
os.remove(path)
check.equal(ljinspect.poll(), true)
check.matches(last(), "is gone: 1 hook removed$")
check.equal(#ljinspect.hooks(), 0)

-- writable by others: refused, with the reason; made safe: applied
write(set)
os.execute("chmod 666 " .. path)
local ok, message = ljinspect.poll()
check.equal(ok, nil)
check.equal(message, "the hooks file may be written by others")
check.matches(last(), "^error ljinspect: hooks file .* refused: file .* is writable by others than its owner$")
os.execute("chmod 644 " .. path)
check.equal(ljinspect.poll(), true)
os.execute("chmod 777 " .. dir)
write(set .. " ")
check.equal(ljinspect.poll(), nil)
check.matches(last(), "refused: directory " .. dir .. " is writable by others")
check.equal(ljinspect.watch { file = path, insecure = true, delay = 86400, poll = true }, true)
check.matches(last(), "applied: 1 hook")
os.execute("chmod 700 " .. dir)

-- by itself, while the program is busy
check.equal(ljinspect.init(0.5, path), true)
check.equal(ljinspect.status().watcher, "inotify")
write("BUSY = true")
check.eventually(function()
    local t = {}
    for i = 1, 1000 do t[i] = tostring(i) .. handler(i) end
    return BUSY
end, "a busy program is reached")
write("BUSY = false", path .. ".new")
os.rename(path .. ".new", path)
check.eventually(function()
    local t = {}
    for i = 1, 1000 do t[i] = tostring(i) .. handler(i) end
    return not BUSY
end, "and once more, by rename")

-- destroy() leaves the hooks alone
write(set)
check.eventually(function() return ljinspect.poll() or #ljinspect.hooks() == 1 end, "set")
check.equal(ljinspect.destroy(), true)
check.equal(ljinspect.status().watcher, "off")
check.equal(#ljinspect.hooks(), 1)
write("error 'not looked at any more'")
check.equal(ljinspect.poll(), false)
check.equal(ljinspect.unset_all(), 1)

os.execute("rm -r " .. dir)
check.done()
