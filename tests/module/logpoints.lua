-- Hooks in table form: which variables expressions see, which hits are left, what is logged, and what errors come to.
-- None has a budget but where that is the question: on a machine that is busy, or by valgrind, any hit may take long.
local ljinspect = require "ljinspect"
local lib = (arg[0]:match("^(.*)/") or ".") .. "/lib/"
local check, make = dofile(lib .. "check.lua"), dofile(lib .. "make.lua")
local compiler_was_on = jit.status() -- false where LuaJIT has none

local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)

-- The lines logged while `f` runs, without the key.
local function lines_of(f, ...)
    local before = #log
    f(...)
    local out = {}
    for i = before + 1, #log do out[#out + 1] = (log[i]:gsub("^%a+ ljinspect: [^ ]+ ?", "")) end
    return out
end

-- Run `code` with a hook that logs `template`; what it logged.
local function show(code, template, env, ...)
    local f, file, line = make(code, env)
    local id = assert(ljinspect.set_hook { file = file, line = line, log = template, budget = 0 })
    local out = lines_of(f, ...)
    ljinspect.unset_hook(file, line)
    return table.concat(out, "|"), id
end

---- variables

check.equal(show("local a, b = 1, 'x'\nreturn a --@", "{a} {b}"), "1 x", "locals")
check.equal(show("local a = 1\ndo local a = 2\n local b = a --@\nend", "{a}"), "2", "the innermost of a name")
check.equal(show("local a = 1\ndo local a = nil\n local b = a --@\nend", "{a}"), "nil", "the innermost, though it is nil")
check.equal(show("local a = 1\ndo local a = 2 end\nreturn a --@", "{a}"), "1", "the outer one after the block")
check.equal(show("local a = 'up'\nlocal function f()\n return a --@\nend\nf()", "{a}"), "up", "upvalues")
check.equal(show("g = 1\nreturn 0 --@", "{g} {type(string.rep)}", setmetatable({}, { __index = _G })), "1 function",
    "globals of the function's environment")
check.equal(show("return 0 --@", "{g}", setmetatable({}, { __index = function(_, k) return "made of " .. k end })),
    "made of g", "globals that a metamethod gives")
check.equal(show("return 0 --@", "{nothing}"), "nil", "no such variable")
check.equal(show("local a = ...\nreturn a --@", "{...} {select('#', ...)}", nil, "v", nil), "v 2", "varargs")
check.equal(show("local t = {n = {1, 2}, f = function(self, x) return x * 2 end}\nreturn t --@",
    "{#t.n} {t:f(21)} {t.n[2]} {({a = 5}).a} {'}'} {[[{]]} {t.n[1] --[[}]]}"), "2 42 2 5 } { 1", "whatever Lua has")
check.equal(show("return 0 --@", "{{{1}}} {{x}}"), "{1} {x}", "doubled braces")
check.equal(show("return 0 --@", ""), "", "an empty line")
check.equal(show("local s = 'a\\nb\\0c'\nreturn s --@", "{s}"), "a\\nb\\x00c", "one line is one line")
check.equal(show("for i = 1, 3 do local x = i * 2 id = x end --@", "{i} {x}", { id = 0 }), "nil nil|2 nil|3 nil",
    "each hit has its own variables")
check.equal(show("local x = 'out'\nlocal function f(x) return x end\nlocal y = f(1) --@\nreturn y", "{x} {y}"), "out nil")

-- names that are no variables are not read: here reading an undeclared global is an error
local strict = setmetatable({ known = 1 }, { __index = function(_, k) error("undeclared " .. k) end })
check.equal(show("local t = {a = {b = 1}}\nreturn t --@", "{t.a.b} {t.nope} {({x = 2, nope = 3}).x}", strict), "1 nil 2")
check.equal(show("local t = {1}\nreturn t --@", "{(function(p) local q = p return q end)(t[1])}", strict), "1")
check.matches(show("return 0 --@", "{undeclared}", strict), "^<error: .*undeclared undeclared>$")

-- assignments change copies
local f, file, line = make("local a, t = 1, {}\nreturn a, t --@")
assert(ljinspect.set_hook { file = file, line = line, log = "{(function() a = 2 return a end)()}", budget = 0 })
local a
check.equal(table.concat(lines_of(function() a = f() end)), "2")
check.equal(a, 1, "the program's variable is as it was")
ljinspect.unset_all()
check.matches(show("return 0 --@", "{(function() local x = 1 return y1 end)()}"), "^nil$")
check.matches(show("return 0 --@", "{(function() p = 1 end)(function(p) end)}"), "cannot be used inside a function here")
check.equal(rawget(_G, "p"), nil, "no global was made")

-- functions come and go at the same place in memory, with other variables
for round = 1, 200 do
    local extra = round % 3
    local code = ("local %s = 'first'\n"):format(extra == 0 and "x" or "y") ..
        ("local %s = 'second'\n"):format(extra == 1 and "x" or "z") .. "do local x2 = 1\nlocal w = x or 'none' end\nreturn 0 --@"
    local g = assert(loadstring(code, "@reload.lua"))
    if round == 1 then assert(ljinspect.set_hook { file = "reload.lua", line = 5, log = "{x}", budget = 0 }) end
    local want = extra == 0 and "first" or extra == 1 and "second" or "nil"
    check.equal(table.concat(lines_of(g)), want, "round " .. round)
    g = nil
    if round % 10 == 0 then collectgarbage() end
end
ljinspect.unset_all()

---- which hits

local function loop()
    return make("for i = 1, ... do\n local s = 'n' .. i --@\n local x = s\nend")
end
local function set(options)
    local f, file, line = loop()
    options.file, options.line = file, line
    options.log = options.log or "{i}"
    if options.budget == nil then options.budget = 0 end
    assert(ljinspect.set_hook(options))
    return f
end
local function info() return ljinspect.hooks()[1] end

f = set { condition = "i % 2 == 0 and i > 4" }
check.equal(table.concat(lines_of(f, 10), "|"), "6|8|10", "condition")
check.equal(info().hits, 10)
check.equal(info().matched, 3)
check.truthy(info().mean_ns > 0 and info().max_ns >= info().mean_ns, "costs are measured")
ljinspect.unset_all()

f = set { hits = 2, condition = "i > 3" }
check.equal(table.concat(lines_of(f, 10), "|"), "4|5", "hits")
check.equal(#ljinspect.hooks(), 0, "the hook is gone after the last of its hits")

f = set { per_second = 3, tag = "some" }
check.equal(table.concat(lines_of(f, 100), "|"), "[some]: 1|[some]: 2|[some]: 3", "per_second")
check.equal(info().dropped, 97)
check.equal(info().tag, "some")
ljinspect.unset_all()

f = set { expires = 0.05 }
check.equal(#lines_of(f, 2), 2)
local from = os.clock()
while os.clock() - from < 0.1 do end
check.equal(table.concat(lines_of(f, 2), "|"), "hook expired", "expires")
check.equal(#ljinspect.hooks(), 0)

f = set { sample = 0.1, log = "x" }
local n = #lines_of(f, 10000)
check.truthy(n > 700 and n < 1300, "a tenth of 10000 was " .. n)
ljinspect.unset_all()

for _, level in ipairs { "debug", "info", "warn", "error" } do
    f = set { level = level }
    f(1)
    check.matches(log[#log], "^" .. level .. " ")
    ljinspect.unset_all()
end

local seen = {}
f = set { condition = "i == 3", filter = function(info) seen[#seen + 1] = info.vals.i return false end }
check.equal(table.concat(lines_of(f, 5), "|"), "3", "log and filter")
check.equal(table.concat(seen, "|"), "3")
check.equal(#ljinspect.hooks(), 1, "the filter keeps the hook")
ljinspect.unset_all()
f = set { filter = function() end }
f(5)
check.equal(#ljinspect.hooks(), 0, "the filter removes the hook")
f = set { filter = function() return false end, hits = 3 }
f(2)
check.equal(#ljinspect.hooks(), 1)
f(1)
check.equal(#ljinspect.hooks(), 0, "hits, whatever the filter says")

---- errors

f = set { condition = "i.x.y" }
local lines = lines_of(f, 5)
check.equal(#lines, 1, "a condition's error is logged once")
check.matches(lines[1], "error in condition, which counts as false; not logged again: attempt to index")
check.equal(info().errors, 5)
check.equal(info().matched, 0)
ljinspect.unset_all()

for _, what in ipairs { "error()", "error({})", "error(nil)", "error(setmetatable({}, {__tostring = error}))",
    "error('text')", "coroutine.yield()", "(function() return f() end)()" } do
    f = set { condition = what }
    check.equal(#lines_of(f, 2), 1, what)
    check.equal(info().errors, 2, what)
    ljinspect.unset_all()
    f = set { log = "a{" .. what .. "}b" }
    check.matches(lines_of(f, 1)[1], "^a<error: .*>b$", what)
    ljinspect.unset_all()
end

-- what runs for ever, or takes memory without end, is interrupted; also where it catches errors
ljinspect.limits { filter_ms = 30, plain_filter_ms = 30 }
for what, message in pairs {
    ["(function() while true do end end)()"] = "ran longer than 30 ms",
    ["(function() for i = 1, 1/0 do end end)()"] = "ran longer than 30 ms",
    ["(function() repeat pcall(error) until false end)()"] = "ran longer than 30 ms",
    ["(function() while true do pcall(function() while true do end end) end end)()"] = "ran longer than 30 ms",
    ["(function() while true do xpcall(error, function() while true do end end) end end)()"] = "ran longer than 30 ms",
    ["(function() local function spin() while true do end end while true do xpcall(spin, spin) end end)()"] = "ran longer than 30 ms",
    ["(function() local function f() return f() end return f() end)()"] = "ran longer than 30 ms",
    ["(function() local t = {} while true do t[#t + 1] = {} end end)()"] = "interrupted: ",
    ["(function() local s = 'x' while true do s = s .. s end end)()"] = ".",
    ["(function() local function f() return 1 + f() end return f() end)()"] = ".",
    ["setmetatable({}, {__index = function(t, k) return t[k] end}).x"] = ".",
} do
    f = set { condition = what }
    check.matches(lines_of(f, 1)[1], message, what)
    ljinspect.unset_all()
    f = set { log = "{" .. what .. "}" }
    check.matches(lines_of(f, 1)[1], message, what)
    ljinspect.unset_all()
    collectgarbage()
end
f = set { log = "x", filter = function() while true do end end }
check.matches(table.concat(lines_of(f, 1), "|"), "error in filter, hook removed: .*ran longer than 30 ms")
local code, at
f, code, at = loop()
assert(ljinspect.set_hook(code, at, nil, function() while true do end end))
check.matches(lines_of(f, 1)[1], "error in filter, hook removed: .*ran longer than 30 ms", "the four-argument form")
check.equal(#ljinspect.hooks(), 0)
check.equal(jit.status(), compiler_was_on, "the compiler is on again")
check.equal(debug.gethook(), nil)
if compiler_was_on and ljinspect.status().engine == "trap" then -- the line engine switches it itself
    for what, want in pairs { ["off"] = false, ["off, on"] = true, ["on, off"] = false, ["on"] = true } do
        f = set { condition = "true", filter = function()
            for which in what:gmatch("%a+") do jit[which]() end
            return false
        end }
        lines_of(f, 1)
        ljinspect.unset_all()
        check.equal(jit.status(), want, "the compiler, which a filter switched " .. what)
        jit.on()
    end
end
ljinspect.limits { filter_ms = 50, plain_filter_ms = 0 }

---- budgets

ljinspect.limits { filter_ms = 0 } -- these filters take their time

f = set { budget = 0.001, filter = function() local from = os.clock() while os.clock() - from < 0.005 do end return false end }
lines = lines_of(f, 20)
check.matches(table.concat(lines, "|"), "hook suspended for 1 s: it took .* ms in .* ms, more than its budget of 0.1 %% of a core")
check.equal(info().state, "suspended")
check.equal(info().suspended, 1)
check.equal(info().dropped, 19)
check.equal(info().matched, 1)
from = os.time()
check.eventually(function() f(1) return info().suspended == 2 end, "it is resumed and suspended again")
check.matches(table.concat(log, "|"), "hook resumed|.*hook suspended for 2 s")
ljinspect.unset_all()

local function slow() local from = os.clock() while os.clock() - from < 0.005 do end return false end
f, code, at = loop()
assert(ljinspect.set_hook(code, at, nil, slow))
f(30)
check.equal(info().hits, 30)
check.equal(info().suspended, 0, "hooks in the four-argument form are never suspended")
check.equal(ljinspect.limits { budget = 0.01 }.budget, 0.01)
lines = lines_of(f, 30)
check.matches(table.concat(lines, "|"), "more than all hooks' budget of 1 %% of a core")
check.equal(info().suspended, 1, "but for a budget of all hooks")
ljinspect.limits { budget = 0.001 }
ljinspect.unset_all()
f = set { hits = 1, budget = 0.001, filter = function() slow() return true end }
check.equal(table.concat(lines_of(f, 2), "|"), "1", "a hook that goes with its last hit is not suspended")
check.equal(#ljinspect.hooks(), 0)
ljinspect.limits { budget = 0 }
ljinspect.unset_all()

ljinspect.limits { filter_ms = 50 }

---- counting

f = set { count = true, interval = 100, hits = 7, log = nil }
lines = lines_of(f, 10)
check.matches(lines[#lines], "^7 hits in [%d.]+ s %([%d.]+/s%)$", "count")
code, file, at = loop()
assert(ljinspect.set_hook { file = file, line = at, histogram = "i - 1", interval = 100, hits = 9, budget = 0 })
check.matches(table.concat(lines_of(code, 10), "|"),
    "^9 hits in .*; i %- 1: min 0, mean 4, max 8, <1: 1, %[1, 2%): 1, %[2, 4%): 2, %[4, 8%): 4, %[8, 16%): 1$", "histogram")
local before = #log
assert(ljinspect.set_hook { file = file, line = at, histogram = "i < 3 and i or s", interval = 0.01, budget = 0 })
code(4)
check.equal(info().errors, 2, "values that are no numbers are errors")
-- A hit may bring one, too, where hits take longer than the interval.
check.eventually(function()
    local hits = 0
    ljinspect.hooks()
    for i = before + 1, #log do hits = hits + tonumber(log[i]:match "(%d+) hits in" or 0) end
    return hits == 4
end, "a listing brings a due summary")
ljinspect.unset_all()

---- functions by name

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
local m = package.loaded["some.module"]
assert(ljinspect.set_hook { func = "some.module.add", log = "add({a}, {b}, {...}) {c}", budget = 0 })
assert(ljinspect.set_hook { func = "some.module.inner.one", log = "one({x})", budget = 0 })
lines = lines_of(function() return m.add(1, 2, 3), m.inner.one(4), m.add(5, 6) end)
check.equal(table.concat(lines, "|"), "add(1, 2, 3) nil|one(4)|add(5, 6, nil) nil")
ljinspect.unset_all()
local function maker() return function(x) return x end end
local one, other = maker(), maker()
assert(ljinspect.set_hook { func = one, log = "{x}", budget = 0 })
check.equal(table.concat(lines_of(function() other(1) one(2) other(3) end), "|"), "2", "one function of several alike")
check.equal(info().hits, 1)
ljinspect.unset_all()

check.done()
