-- A hooks file written for lua-resty-inspect and the APISIX plugin runs unchanged on the drop-in modules.
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
local ljinspect = require "ljinspect"

local function wanted(conf)
    local conf_key = conf.key
    return conf_key -- HOOK
end
local line = 0
for text in io.lines(arg[0]) do
    line = line + 1
    if text:match("return conf_key %-%- HOOK") then break end
end

for _, name in ipairs { "resty.inspect.dbg", "apisix.inspect.dbg" } do
    local dbg = require(name)
    local seen
    dbg.set_hook("dropin.lua", line, wanted, function(info)
        seen = dbg.getname(info.finfo) .. " conf_key=" .. info.vals.conf_key
        return true
    end)
    check.equal(dbg.hooks()[1].key, "dropin.lua#" .. line)
    wanted { key = name }
    check.matches(seen, "dropin.lua:" .. line .. " %(wanted%) conf_key=" .. name)
    check.equal(#dbg.hooks(), 0)
    dbg.set_hook("dropin.lua", line, nil, print)
    dbg.unset_hook("dropin.lua", line)
    dbg.set_hook(nil, 1, nil, print)
    check.equal(dbg.hooks()[1].key, "=stdin#1")
    dbg.unset_all()
    check.equal(#dbg.hooks(), 0)
end

check.equal(require "apisix.inspect".init, require "resty.inspect".init)
check.equal(require "apisix.inspect".destroy, ljinspect.destroy)
local missing = os.tmpname()
os.remove(missing)
ljinspect.set_logger(function() end)
check.equal(require "resty.inspect".init(0.5, missing), true)
check.equal(ljinspect.status().file, missing)
check.equal(require "resty.inspect".destroy(), true)
check.equal(ljinspect.status().watcher, "off")
check.done()
