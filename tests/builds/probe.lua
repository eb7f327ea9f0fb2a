-- Which engine a LuaJIT gets, and whether hooks are hit with it: probe.lua ENGINE
local wanted = ...
local ljinspect = require "ljinspect"
local engine = ljinspect.status().engine
assert(engine == wanted, "engine " .. engine .. ", expected " .. wanted)

local code = "local n = 0\nreturn function(x)\n  local y = x + 1\n  n = n + y\n  return n\nend"
local work = assert(loadstring(code, "@work.lua"))()
local hits, sum = 0, 0
local function run(n)
    local r
    for i = 1, n do r = work(i) end
    return r
end
run(500) -- compiled now, where there is a compiler
assert(ljinspect.set_hook("work.lua", 4, nil, function(info)
    hits = hits + 1
    sum = sum + info.vals.y
    return false
end))
assert(ljinspect.set_hook("later.lua", 1, nil, function()
    hits = hits + 1
    return true
end))
run(500)
assert(hits == 500 and sum == 500 * 501 / 2 + 500, hits .. " hits")
assert(loadstring("return 1", "@later.lua"))()
assert(hits == 501, hits .. " hits with code that came later")
assert(ljinspect.unset_all() == 1)
run(500)
assert(hits == 501)
