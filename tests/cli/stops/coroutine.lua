local stop = ...
local function deep(n)
    if n > 0 then
        local r = deep(n - 1)
        return r
    end
    stop(debug.traceback()) return n
end
local inner = coroutine.wrap(function(n)
    local r = deep(n)
    return r
end)
local outer = coroutine.create(function() local r = inner(5) return r end)
local ok, e = coroutine.resume(outer)
assert(ok, e)
