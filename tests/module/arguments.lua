-- Wrong arguments raise errors that name the argument, as the standard library's do, and change nothing.
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")

local function f() end

local function raises(pattern, name, ...)
    local ok, message = pcall(ljinspect[name], ...)
    check.equal(ok, false, name .. " must refuse")
    check.matches(message, pattern)
end

check.matches(select(2, pcall(function() ljinspect.set_hook({}, 1, nil, f) end)),
    "bad argument #1 to 'set_hook' %(string expected, got table%)")

raises("bad argument #1 to '%S+' %(string expected, got table%)", "set_hook", {}, 1, nil, f)
raises("bad argument #2 to '%S+' %(number expected, got nil%)", "set_hook", "a.lua", nil, nil, f)
raises("bad argument #2 to '%S+' %(number expected, got no value%)", "set_hook", "a.lua")
raises("bad argument #2 to '%S+' %(number expected, got string%)", "set_hook", "a.lua", "x", nil, f)
raises("bad argument #2 to '%S+' %(line out of range%)", "set_hook", "a.lua", 0, nil, f)
raises("bad argument #2 to '%S+' %(line out of range%)", "set_hook", "a.lua", -3, nil, f)
raises("bad argument #2 to '%S+' %(line out of range%)", "set_hook", "a.lua", 2 ^ 31, nil, f)
raises("bad argument #2 to '%S+' %(line is not an integer%)", "set_hook", "a.lua", 1.5, nil, f)
raises("bad argument #2 to '%S+' %(line is not an integer%)", "set_hook", "a.lua", 0 / 0, nil, f)
raises("bad argument #3 to '%S+' %(function expected, got table%)", "set_hook", "a.lua", 1, {}, f)
raises("bad argument #4 to '%S+' %(function expected, got no value%)", "set_hook", "a.lua", 1, nil)
raises("bad argument #4 to '%S+' %(function expected, got string%)", "set_hook", "a.lua", 1, nil, "print")
raises("bad argument #1 to '%S+' %(file name contains a NUL byte%)", "set_hook", "a\0.lua", 1, nil, f)
raises("bad argument #1 to '%S+' %(string expected, got boolean%)", "unset_hook", true, 1)
raises("bad argument #2 to '%S+' %(number expected", "unset_hook", "a.lua")
raises("bad argument #1 to '%S+' %(table expected", "getname")
raises("bad argument #1 to '%S+' %(delay: number expected, got string%)", "init", "soon", "/tmp/x")
raises("bad argument #1 to '%S+' %(delay: 0.01 to 86400 seconds expected%)", "init", -1, "/tmp/x")
raises("bad argument #1 to '%S+' %(delay: 0.01 to 86400 seconds expected%)", "init", 0 / 0, "/tmp/x")
raises("bad argument #2 to '%S+' %(file: string expected, got number%)", "init", 1, 5)
raises("bad argument #2 to '%S+' %(file: empty, or contains a NUL byte%)", "init", 1, "")
raises("bad argument #1 to '%S+' %(table expected", "watch", "x.lua")
raises("bad argument #1 to '%S+' %(unknown option 'fiel'%)", "watch", { fiel = "x.lua" })
raises("bad argument #1 to '%S+' %(unknown option 'number'%)", "watch", { "x.lua" })
raises("bad argument #1 to '%S+' %(insecure: boolean expected, got string%)", "watch", { file = "x", insecure = "yes" })
raises("bad argument #1 to '%S+' %(delay: 0.01 to 86400", "watch", { file = "x.lua", delay = 0 })
raises("bad argument #1 to '%S+' %(function expected, got string%)", "set_logger", "stderr")
if not os.getenv("LJINSPECT_HOOKS_FILE") then
    raises("bad argument #2 to '%S+' %(file: none given, and LJINSPECT_HOOKS_FILE is not set%)", "init", 1)
    raises("bad argument #1 to '%S+' %(file: none given, and LJINSPECT_HOOKS_FILE is not set%)", "watch", {})
end

check.equal(#ljinspect.hooks(), 0, "no hook was left behind")
check.equal(ljinspect.status().watcher, "off")
check.equal(ljinspect.poll(), false, "nothing to poll")
check.equal(ljinspect.destroy(), false, "nothing to stop")
check.done()
