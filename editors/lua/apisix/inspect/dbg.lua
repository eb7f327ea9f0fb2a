---@meta apisix.inspect.dbg
-- The drop-in for Apache APISIX's module.

return require "resty.inspect.dbg"
