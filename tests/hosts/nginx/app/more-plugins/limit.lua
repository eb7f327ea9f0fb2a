-- Same file name, same lines as plugins/limit.lua.
local _M = {}

function _M.access(conf)
    local key = "more-plugins:" .. conf.key
    return key                                                  -- @access
end

return _M
