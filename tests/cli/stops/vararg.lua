local stop = ...
local function inner(...)
    stop(debug.traceback()) return ...
end
local function outer(...)
    local a, b = inner(1, ...)
    return a, b
end
local f = function(...) local x = outer(...) return x end
local r = f(1, 2, 3)
