-- A hooks file: plain Lua that sets hooks. It is applied when it appears; its hooks go when it goes.
local ljinspect = require "ljinspect"

local shown = 0

-- Whenever app.lua arrives at line 23, inside price():
ljinspect.set_hook("plain-lua/app.lua", 23, nil, function(info)
    if info.vals.customer ~= "carol" or shown == 2 then
        return false -- of no interest; false: the hook stays
    end
    shown = shown + 1
    print("hook: " .. ljinspect.getname(info.finfo) .. ", locals:")
    for _, name in ipairs { "customer", "total", "rebate", "due" } do
        print("hook:     " .. name .. " = " .. tostring(info.vals[name]))
    end
    print((debug.traceback("hook: called from", 3):gsub("\n", "\nhook: ")))
    io.stdout:flush()
    return false
end)
