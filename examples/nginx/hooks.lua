-- "Whenever line 9 of app.lua runs, log what it has got." Changes of this file are applied while nginx runs.
local ljinspect = require "ljinspect"

ljinspect.set_hook("app.lua", 9, nil, function(info)
    local vals = info.vals
    ngx.log(ngx.WARN, ljinspect.getname(info.finfo), ": country=", vals.country, " weight=", vals.weight,
        " rate=", vals.rate, " surcharge=", vals.surcharge)
    return false -- stay for the next request; anything else removes the hook
end)
