-- Same file name, same lines as more-plugins/limit.lua.
local _M = {}

function _M.access(conf)
    local key = "plugins:" .. conf.key
    return key                                                  -- @access
end

return _M
