---@meta resty.inspect
-- The drop-in for lua-resty-inspect's module.

---@class resty.inspect
local inspect = {}

---Watch a hooks file.
---@param delay? number seconds between looks where the system cannot notify, usually 3
---@param file? string usually "/var/run/resty_inspect_hooks.lua"
---@return boolean? done
---@return string? message
function inspect.init(delay, file) end

---Stop watching. The hooks stay.
---@return boolean? stopped false where nothing was watched
---@return string? message
function inspect.destroy() end

return inspect
