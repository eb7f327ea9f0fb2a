-- A function of more than 255 lines, and one of more than 65535: their tables of lines are wider.
local stop = ...
local function source(n) return "local stop, next = ...\n" .. ("\n"):rep(n) .. "local r = next()\nreturn r" end
local two = assert(loadstring(source(300), "=two"))
local four = assert(loadstring(source(70000), "=four"))
local r = two(stop, function()
    local r = four(stop, function() stop(debug.traceback()) return 1 end)
    return r
end)
