---@meta resty.inspect.dbg
-- The drop-in for lua-resty-inspect's module.

local ljinspect = require "ljinspect"

---@class resty.inspect.dbg
local dbg = {}

dbg.set_hook = ljinspect.set_hook
dbg.unset_hook = ljinspect.unset_hook
dbg.unset_all = ljinspect.unset_all
dbg.hooks = ljinspect.hooks
dbg.getname = ljinspect.getname

return dbg
