-- Drop-in for lua-resty-inspect's module of this name: hooks files written for it run unchanged.
local ljinspect = require "ljinspect"

return {
    set_hook = ljinspect.set_hook,
    unset_hook = ljinspect.unset_hook,
    unset_all = ljinspect.unset_all,
    hooks = ljinspect.hooks,
    getname = ljinspect.getname,
}
