local stop = ...
local stopped = false
local function make()
    local p = newproxy(true)
    getmetatable(p).__gc = function()
        if stopped then return end
        stopped = true
        stop(debug.traceback())
    end
end
local function collect()
    for i = 1, 10 do make() end
    collectgarbage()
end
collect()
