local stop = ...
local long = string.rep("a/very/long/path/", 8) .. "name.lua"
local code = "local stop, next = ... local r = next() return r"
local function chain(names, i)
    if i > #names then
        return function() stop(debug.traceback()) return 1 end
    end
    local f = assert(loadstring("\n" .. code, names[i]))
    local following = chain(names, i + 1)
    return function() local r = f(stop, following) return r end
end
local names = {"=named", "@" .. long, "return 1", "first line\nsecond", string.rep("x", 100), "=[C]", "@" .. ("n"):rep(59),
    "@" .. ("n"):rep(60)}
local r = chain(names, 1)()
