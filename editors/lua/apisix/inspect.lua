---@meta apisix.inspect
-- The drop-in for Apache APISIX's module.

return require "resty.inspect"
