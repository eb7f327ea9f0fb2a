-- The engine that was asked for is the one that works, so that a test run under an engine's name is a test of it.
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
local ljinspect = require "ljinspect"

ljinspect.set_hook("nowhere.lua", 1, nil, function() end)
check.equal(ljinspect.status().engine, os.getenv("LJINSPECT_ENGINE") or "line")
ljinspect.unset_all()
check.done()
