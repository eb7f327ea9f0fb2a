local stop = ...
local mt = {}
mt.__index = function(t, k) local v = t + k return v end
mt.__add = function(a, b) local v = a .. b return v end
mt.__concat = function(a, b) local v = a < a return v end
mt.__lt = function(a, b) local v = -a return v end
mt.__unm = function(a)
    local v = a()
    return v
end
mt.__call = function(self)
    stop(debug.traceback()) return true
end
local t = setmetatable({}, mt)
local v = t.something
