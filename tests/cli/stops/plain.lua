local stop = ...
local function leaf(n)
    stop(debug.traceback()) return n
end
function middle(a, b)
    local c = leaf(a + b)
    return c
end
local t = {field = function(x) local y = middle(x, 1) return y end}
function t:method(x) local y = self.field(x) return y end
local r = t:method(3)
