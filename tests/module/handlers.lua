-- Hooks within a message handler of xpcall(): filters that fail, and that catch errors, change nothing for the program.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
local messages = {}
ljinspect.set_logger(function(_, message) messages[#messages + 1] = message end)

local calls = 0
local function handler(message)
    calls = calls + 1
    error("in the handler, too: " .. tostring(message)) -- hooked
end
local line = debug.getinfo(handler, "S").linedefined + 2

local function fail() error("of the program", 0) end

-- What LuaJIT does with a handler that fails: it is not called for its own error.
local function expect(what)
    calls = 0
    local ok, message = xpcall(fail, handler)
    check.equal(ok, false, what)
    check.equal(message, "error in error handling", what)
    check.equal(calls, 1, what)
    local co = coroutine.wrap(function() return xpcall(fail, handler) end)
    check.equal(select(2, co()), "error in error handling", what)
    check.equal(calls, 2, what)
end

expect "without a hook"

-- LuaJIT's debug hooks, by which the line engine works, change this themselves when an error is caught in them.
if ljinspect.status().engine ~= "trap" then
    print "the line engine: only filters without errors"
    ljinspect.set_hook("handlers.lua", line, nil, function() return false end)
    expect "a filter"
    return check.done()
end

local hits = 0
local filters = {
    ["a filter"] = function() end,
    ["a filter that catches an error"] = function() pcall(error, "x") end,
    ["a filter whose own handler is called"] = function()
        local seen
        xpcall(error, function(m) seen = m end, "y")
        check.equal(seen, "y")
    end,
    ["a filter that makes the stack overflow"] = function()
        local function deep() return 1 + deep() end
        check.equal(pcall(deep), false)
    end,
}
for what, filter in pairs(filters) do
    hits = 0
    local id = ljinspect.set_hook("handlers.lua", line, nil, function()
        hits = hits + 1
        filter()
        return false
    end)
    expect(what)
    check.equal(hits, 2, what)
    ljinspect.unset_hook("handlers.lua", line)
    expect "after the hook"
end

messages = {}
ljinspect.set_hook("handlers.lua", line, nil, function() error "of the filter" end)
expect "a filter that fails"
check.equal(#messages > 0 and table.concat(messages):find("of the filter", 1, true) ~= nil, true, "the error is logged")

check.done()
