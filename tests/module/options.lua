-- What is wrong with the options of hooks in table form is said when they are set; expressions made by chance do no harm.
local ljinspect = require "ljinspect"
local lib = (arg[0]:match("^(.*)/") or ".") .. "/lib/"
local check, make = dofile(lib .. "check.lua"), dofile(lib .. "make.lua")

ljinspect.set_logger(function() end)

package.loaded["some.module"] = {
    add = function(a, b, ...)
        local c = a + b
        return c
    end,
    inner = { one = function(x) return x + 1 end },
    loop = function(n)
        while n > 0 do n = n - 1 end
    end,
    over_lines = function(n)
        local s = tostring(
            n)
        return s
    end,
}

local function refused(pattern, options)
    options.file = options.file or "x.lua"
    if options.line == nil then options.line = 1 end
    if options.line == 0 then options.line = nil end
    local ok, message = pcall(ljinspect.set_hook, options)
    check.equal(ok, false, "must be refused: " .. pattern)
    check.matches(message, pattern)
end
local names = { "file", "line", "func", "condition", "log", "capture", "filter", "hits", "per_second", "expires", "sample",
    "level", "tag", "sink", "budget", "count", "histogram", "interval", "at" }
local values = { 1, "x", true, {}, print, newproxy(), coroutine.create(print) }
local right = { file = "string", line = "number", func = "function", condition = "string", log = "string",
    filter = "function", hits = "number", per_second = "number", expires = "number", sample = "number", level = "string",
    tag = "string", sink = "function", budget = "number", count = "boolean", histogram = "string", interval = "number",
    capture = "boolean", at = "string" }
for _, name in ipairs(names) do
    for _, value in ipairs(values) do
        local options = { file = "x.lua", line = 1, log = "x" }
        options[name] = value
        local ok, message = pcall(ljinspect.set_hook, options)
        if type(value) ~= right[name] and not (name == "func" or name == "capture" or name == "sink") then
            check.equal(ok, false, name .. " of type " .. type(value))
            check.matches(message, name .. ": ")
        end
    end
end
ljinspect.unset_all()
refused("unknown field 'conditon' %(did you mean 'condition'%?%)", { conditon = "x" })
refused("unknown field 'per_secnd' %(did you mean 'per_second'%?%)", { per_secnd = 1 })
refused("unknown field 'zzz'%)", { zzz = 1 })
refused("field names expected, got a number", { "x" })
refused("unknown field 'capture.dept' %(did you mean 'depth'%?%)", { capture = { dept = 1 } })
refused("line: number expected, got nil", { line = 0, log = "x" })
refused("nothing to do", {})
refused("nothing to do", { condition = "true" })
refused("sink: nothing to write to it", { filter = print, sink = "/tmp/x" })
refused("condition, column 7: unexpected symbol near '%*'", { log = "x", condition = "a + b *" .. "* c" ~= "" and "a and * c" })
refused("condition, column 3: ", { log = "x", condition = "i = 3" })
refused("condition, column 2: ", { log = "x", condition = "1) or (2" })
refused("condition, column 2: ", { log = "x", condition = "a, b" })
refused("condition, column 1: an expression expected", { log = "x", condition = "  -- nothing" })
refused("condition, column 8: ", { log = "x", condition = "a and (" })
refused("condition, column 6: unfinished string", { log = "x", condition = "a .. 'b" })
refused("condition, column 3: ", { log = "x", condition = "a end" })
refused("condition, column 1: ", { log = "x", condition = "return 1" })
refused("condition, column 4: '<eof>' expected near 'os'", { log = "x", condition = "1; os.exit(1)" })
refused("condition: contains a NUL byte", { log = "x", condition = "a\0b" })
refused("condition, column 1: longer than 4096 bytes", { log = "x", condition = ("a+"):rep(3000) .. "a" })
local many = {}
for i = 1, 100 do many[i] = "n" .. i end
refused("condition, column 1: more than 60 names", { log = "x", condition = table.concat(many, "+") })
refused("log, column 3: '{' without '}'", { log = "ab{c" })
refused("log, column 3: '}' without '{'", { log = "ab}c" })
refused("log, column 1: '{' without '}'", { log = "{'}" })
refused("log, column 1: '{' without '}'", { log = "{{1}" ~= "" and "{ {1}" })
refused("log, column 2: an expression expected", { log = "{}" })
refused("log, column 10: ", { log = "a {b} {c+}" })
refused("log, column %d+: too many parts", { log = ("{1} "):rep(300) })
refused("histogram, column 1: ", { histogram = "*" })
refused("hits: a whole number from 1", { log = "x", hits = 0 })
refused("hits: a whole number from 1", { log = "x", hits = 1.5 })
refused("hits: a whole number from 1", { log = "x", hits = 0 / 0 })
refused("per_second: ", { log = "x", per_second = 0 })
refused("per_second: ", { log = "x", per_second = 1 / 0 })
refused("expires: ", { log = "x", expires = -1 })
refused("expires: ", { log = "x", expires = 0 / 0 })
refused("sample: ", { log = "x", sample = 0 })
refused("sample: ", { log = "x", sample = 1.5 })
refused("budget: 0 to 1 expected", { log = "x", budget = 2 })
refused("budget: 0 to 1 expected", { log = "x", budget = 0 / 0 })
refused("level: debug, info, warn or error expected, got 'loud'", { log = "x", level = "loud" })
refused("interval: ", { count = true, interval = 0 })
refused("interval: ", { count = true, interval = 1e9 })
refused("sink: 'log', an absolute path or a function expected", { log = "x", sink = "relative" })
refused("capture: nothing to show", { capture = {} })
refused("capture.returns: only with at = 'return'", { capture = { returns = true } })
refused("capture.returns: boolean expected, got number", { capture = { returns = 1 } })
refused("at: 'entry' or 'return' expected, got 'exit'", { log = "x", at = "exit" })
refused("at: of a function alone", { log = "x", at = "return" })
refused("at: of a function alone", { log = "x", at = "entry", func = print })
refused("line: number expected, got nil", { log = "x", at = "return", line = 0 })
refused("unknown field 'returns'", { log = "x", returns = true })
refused("capture.depth: a whole number from 1 to 20", { capture = { locals = true, depth = 21 } })
refused("capture.depth: number expected, got string", { capture = { locals = true, depth = "3" } })
refused("capture.mask: a list of strings expected", { capture = { locals = true, mask = { 1 } } })
refused("capture.mask: a word is empty", { capture = { locals = true, mask = { "" } } })
refused("capture.format: 'text' or 'json' expected", { capture = { locals = true, format = "xml" } })
local function refused_function(pattern, func)
    local ok, message = pcall(ljinspect.set_hook, { func = func, log = "x" })
    check.equal(ok, false)
    check.matches(message, pattern)
end
refused_function("func: some.module.nope: no such function", "some.module.nope")
refused_function("func: : no such function", "")
refused_function("func: %.%.: no such function", "..")
refused_function("func: string.rep: a C function", "string.rep")
refused_function("func: .*comes to its first line more than once", "some.module.loop")
refused_function("func: .*comes to its first line more than once", "some.module.over_lines")
if ljinspect.status().engine == "trap" then -- the line engine sees no returns at all
    for func, pattern in pairs { [print] = "func: a C function", ["some.module.nope"] = "func: some.module.nope: no such function" } do
        local ok, message = pcall(ljinspect.set_hook, { func = func, at = "return", log = "x" })
        check.equal(ok, false)
        check.matches(message, pattern)
    end
    local stripped = loadstring(string.dump(function() return 1 end, true))
    check.matches(select(2, pcall(ljinspect.set_hook, { func = stripped, at = "return", log = "x" })), "no line numbers")
    for _, func in ipairs { "some.module.loop", "some.module.over_lines" } do
        check.truthy(ljinspect.set_hook { func = func, at = "return", log = "x" }, "returns of functions whose entry cannot be hooked")
    end
    check.equal(ljinspect.unset_all(), 2)
end
for _, bad in ipairs { { budget = "x" }, { budget = -1 }, { filter_ms = 1e9 }, { filter_sm = 1 } } do
    check.equal(pcall(ljinspect.limits, bad), false)
end
check.equal(#ljinspect.hooks(), 0, "nothing was set")

-- expressions made by chance: set or refused, never more
math.randomseed(7)
local pieces = { "a", "b.c", "'s'", "[[x]]", "1", "0x1p4", "nil", "...", "+", "-", "..", "==", "~=", "(", ")", "{", "}", "[", "]",
    ",", ";", ":", ".", "and", "or", "not", "function", "end", "return", "local", "=", "--", "--[[", "]]", "'", '"', "\\", "#",
    "\n", "if", "then", "goto", "::", "\255", "while true do" }
local set_ones = 0
local f, file, line = make("local a, b = 1, {c = 2}\nreturn a --@")
for _ = 1, 1500 do
    local text = {}
    for i = 1, math.random(8) do text[i] = pieces[math.random(#pieces)] end
    text = table.concat(text, " ")
    for _, options in ipairs { { condition = text, log = "x" }, { log = text }, { log = "{" .. text .. "}" } } do
        options.file, options.line = file, line
        local ok, id = pcall(ljinspect.set_hook, options)
        if ok and id then set_ones = set_ones + 1 end
    end
    f(1)
    ljinspect.unset_all()
end
check.truthy(set_ones > 250, set_ones .. " were set")
check.equal(#ljinspect.hooks(), 0)
check.done()
