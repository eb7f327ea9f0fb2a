-- Recordings that LuaJIT gives up where no function in Lua is left on the stack: a coroutine's only one has left by a tail call
-- to a function in C. With a handler of jit.attach(handler, "trace") Debian's LuaJIT of 2022-03 reads past the stack's end
-- then (lj_trace.c: trace_abort); a program that has none must not get one by having a hook.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local function hooked(x)
    return x + 1
end
local line = debug.getinfo(hooked, "S").linedefined + 1
local hits = 0
ljinspect.set_hook("recordings.lua", line, nil, function()
    hits = hits + 1
    return false
end)
hooked(1)

local leave = {
    function(x) return math.floor(x) end,
    function(x) return math.max(x, 0) end,
    function(...) return select(1, ...) end,
    function(x) return tonumber(x) end,
    function(x) return os.time() and x end,
}
if pcall(require, "bit") then leave[#leave + 1] = function(x) return require("bit").tobit(x) end end
for i, f in ipairs(leave) do
    local sum = 0
    for x = 1, 1000 do sum = sum + coroutine.wrap(f)(x) end
    check.equal(sum, 500500, "function " .. i)
end

hooked(2)
check.equal(hits, 2, "hits")
check.done()
