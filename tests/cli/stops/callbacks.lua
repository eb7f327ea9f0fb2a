local stop = ...
local stopped = false
table.sort({3, 2, 1}, function(a, b)
    if not stopped then
        stopped = true
        local s = string.gsub("x", "x", function(c)
            stop(debug.traceback()) return c
        end)
    end
    return a < b
end)
