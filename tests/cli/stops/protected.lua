local stop = ...
local function fails() error("oh") end
local function handler(message)
    stop(debug.traceback()) return message
end
local ok = xpcall(function()
    local ok, e = pcall(function() local x = xpcall(fails, handler) return x end)
    return ok
end, print)
