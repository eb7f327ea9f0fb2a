-- Drop-in for lua-resty-inspect: init(delay, file) and destroy().
local ljinspect = require "ljinspect"

return {
    init = function(delay, file)
        return ljinspect.init(delay, file or "/var/run/resty_inspect_hooks.lua")
    end,
    destroy = ljinspect.destroy,
}
