-- Snapshots: what they show, within which bounds, and that they run nothing of the program's.
local ljinspect = require "ljinspect"
local lib = (arg[0]:match("^(.*)/") or ".") .. "/lib/"
local check = dofile(lib .. "check.lua")
local json = dofile(lib .. "json.lua")
local has_ffi, ffi = pcall(require, "ffi")
if not has_ffi then
    print "SKIPPED: this LuaJIT has no FFI, whose values are among those that are shown"
    os.exit(77)
end

local lines, log = {}, {}
ljinspect.set_logger(function(level, message) log[#log + 1] = level .. " " .. message end)
local function sink(line) lines[#lines + 1] = line end

local chunks = 0
-- Run `code` with a snapshot at its line "--@"; the lines it made, and what the code returned.
local function shot(code, capture, env, more)
    chunks = chunks + 1
    local name = ("shot%d.lua"):format(chunks)
    local f = assert(loadstring(code, "@" .. name))
    if env then setfenv(f, setmetatable(env, { __index = _G })) end
    local line = select(2, code:sub(1, (code:find("--@", 1, true))):gsub("\n", "")) + 1
    local options = { file = name, line = line, capture = capture, sink = sink, budget = 0 }
    for k, v in pairs(more or {}) do options[k] = v end
    lines = {}
    assert(ljinspect.set_hook(options))
    local got = f()
    local info = ljinspect.hooks()[1]
    ljinspect.unset_all()
    check.equal(info.hits >= 1, true, "hit: " .. code)
    return lines[1], got, info
end
-- The same as JSON: the list `which` ("locals") as a table from name to value.
local function shot_json(code, capture, env, which)
    capture.format = "json"
    local line, got, info = shot(code, capture, env)
    local ok, read = pcall(json.read, line)
    check.truthy(ok, "JSON: " .. tostring(read) .. "\n" .. line)
    local by_name = {}
    for _, v in ipairs(ok and read[which or "locals"] or {}) do by_name[v.name or #by_name + 1] = v.value or v end
    return by_name, read, line, got, info
end
local function entries(value)
    local out = {}
    for _, e in ipairs(value.entries) do out[type(e.key) == "table" and "odd" or e.key] = e.value end
    return out
end

---- text

check.equal(shot("local a, b, c, d = 1, 'x', true, nil\nreturn a --@", { locals = true }),
    'locals(a=1, b="x", c=true, d=nil)', "values as text")
check.equal(shot("local t = {1, 2, {x = {y = 1}}, n = 'v'}\nreturn t --@", { locals = true, depth = 2 })
    :gsub("0x%x+", "ADDRESS"), 'locals(t={1, 2, {x=table: ADDRESS}, n="v"})', "tables, to their depth")
check.equal(shot("local a = 1\nlocal function f(...)\n local b = a\n return b --@\nend\nf(7, 'x')",
    { locals = true, upvalues = true, varargs = true }), 'locals(b=1) upvalues(a=1) varargs(7, "x")')
check.matches(shot("local function outer()\n local here = 1\n return (function()\n  local inner = 2\n  return inner --@\n end)() or here\nend\nlocal r = outer()\nreturn r",
    { stack = 3, stack_locals = 2 }),
    '^stack%(shot%d+.lua:5 %[locals%(inner=2%)%], shot%d+.lua:6 %(outer%) %[locals%(here=1%)%], shot%d+.lua:8 %(f%)%)$', "the stack")
check.equal(shot("local a = 1\nreturn a --@", { locals = true }, nil, { log = "a is {a}" }), "a is 1 locals(a=1)",
    "a log line and a snapshot")
check.equal(shot("local s = 'a\\nb\\0\\255'\nreturn s --@", { locals = true }), 'locals(s="a\\nb\\x00\\xff")', "one line")
check.equal(select(2, shot("local s = ('x'):rep(5)\nreturn s --@", true):gsub("\n", "")), 0)
local all_of_all = shot("local a = ...\nreturn a --@", true)
check.equal(all_of_all, "locals(a=nil) upvalues() varargs()", "capture = true")

---- JSON: the schema

local by_name, read = shot_json("local a = 1\nreturn a --@", { locals = true })
check.equal(read.v, 1)
check.matches(read.time, "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$")
check.truthy(math.abs(os.time() - os.time { year = read.time:sub(1, 4), month = read.time:sub(6, 7), day = read.time:sub(9, 10),
    hour = read.time:sub(12, 13), min = read.time:sub(15, 16), sec = read.time:sub(18, 19), isdst = false }) < 86400, "the time is now")
check.truthy(read.pid == math.floor(read.pid) and read.pid > 1)
check.matches(read.key, "^shot%d+%.lua#2$")
check.truthy(read.id >= 1)
check.equal(read.hit, 1)
check.equal(read.level, "info")
check.equal(read.thread, "main")
check.equal(read["function"].what, "main")
check.equal(read["function"].line, 2)
check.matches(read["function"].source, "^shot%d+%.lua$")
check.equal(read.tag, nil)
check.equal(read.message, nil)
check.equal(by_name.a.type, "number")
check.equal(by_name.a.value, 1)
for _, absent in ipairs { "upvalues", "varargs", "stack" } do check.equal(read[absent], nil, absent) end

local line = shot("local a = 1\nreturn coroutine.wrap(function()\n return a --@\nend)()",
    { upvalues = true, stack = 5, stack_locals = 5, format = "json" }, nil,
    { tag = 'a"b', level = "warn", log = "say {a}" })
read = json.read(line)
check.equal(read.tag, 'a"b')
check.equal(read.level, "warn")
check.equal(read.message, "say 1")
check.matches(read.thread, "^0x%x+$")
check.equal(read.upvalues[1].name, "a")
check.equal(#read.stack, 1, "a coroutine's stack is its own")

local values = shot_json([[
local n, b, i, inf, nan, minus = nil, false, 1.5, 1/0, 0/0, -1/0
local s, bad, zero, long = 'text', '\255\254', 'a\0b', ('ä'):rep(300)
local f, cf, co = function() end, print, coroutine.create(print)
local u, cdata, int64 = newproxy(), require "ffi".new("int[2]"), 7LL
local t = {}
return n --@]], { locals = true })
check.equal(values.n.type, "nil")
check.equal(values.n.value, json.null)
check.equal(values.b.value, false)
check.equal(values.i.value, 1.5)
check.equal(values.inf.value, "inf")
check.equal(values.nan.value, "nan")
check.equal(values.minus.value, "-inf")
check.equal(values.s.value, "text")
check.equal(values.bad.value, "<fffd><fffd>")
check.equal(values.bad.invalid_utf8, true)
check.equal(values.zero.value, "a\0b")
check.equal(#values.long.value, 200)
check.equal(values.long.bytes, 600)
check.equal(values.f.type, "function")
check.equal(values.f.line, 3)
check.equal(values.cf.source, nil)
check.equal(values.co.type, "thread")
check.equal(values.u.type, "userdata")
check.equal(values.cdata.type, "cdata")
check.equal(values.int64.type, "cdata")
check.equal(values.t.type, "table")
check.equal(#values.t.entries, 0)

---- bounds

values = shot_json([[
local shared = {1}
local t = {a = shared, b = shared, [shared] = 'key', [1.5] = 'x', [true] = 'y', [0/0 == 0] = 'z', [1/0] = 'inf'}
t.self = t
return t --@]], { locals = true })
local t = entries(values.t)
check.equal(t.a.id, t.b.id, "shared tables have the same id")
check.equal(t.self.cut, "cycle")
check.equal(t.self.id, values.t.id)
check.equal(t[1.5].value, "x")

values = shot_json("local t = {}\nfor i = 1, 1000 do t[i] = i end\nreturn t --@", { locals = true, entries = 7 })
check.equal(#values.t.entries, 7)
check.equal(values.t.more, true)
check.equal(values.t.length, 1000)

-- 10,000 tables within each other
values = shot_json("local t = {}\nfor i = 1, 10000 do t = {t} end\nreturn t --@", { locals = true, depth = 20 })
local depth, at = 0, values.t
while at.entries do
    depth = depth + 1
    at = at.entries[1].value
end
check.equal(depth, 20)
check.equal(at.cut, "depth")
check.matches(shot("local t = {}\nfor i = 1, 10000 do t = {t} end\nreturn t --@", { locals = true, depth = 20 }),
    "^locals%(t=" .. ("{"):rep(20) .. "table: 0x%x+" .. ("}"):rep(20) .. "%)$")

-- 10 million entries
local _, _, big, _, info = shot_json("local t = require('table.new')(1e7, 0)\nfor i = 1, 1e7 do t[i] = i end\nreturn #t --@",
    { locals = true, entries = 1000 })
check.truthy(#big < 100000, "the line has " .. #big .. " bytes")
check.equal(info.errors, 0)
collectgarbage()

-- the whole
for _, bytes in ipairs { 1, 100, 1000, 20000 } do
    local _, read, line = shot_json([[
local a, b, c = {}, {}, ('x'):rep(1000)
for i = 1, 100 do a[i] = {i, {i}} b['k' .. i] = c end
local d = {a, b}
return d --@]], { locals = true, upvalues = true, stack = 10, stack_locals = 10, depth = 5, entries = 1000, bytes = bytes })
    check.truthy(#line < bytes + 2000, ("%d bytes where %d were asked for"):format(#line, bytes))
    check.truthy(read ~= nil)
    local text = shot("local a = {}\nfor i = 1, 1000 do a[i] = {('y'):rep(100)} end\nreturn a --@",
        { locals = true, entries = 1000, bytes = bytes })
    check.truthy(#text < bytes + 1000, ("%d bytes of text where %d were asked for"):format(#text, bytes))
end
local wide = {}
for i = 1, 150 do wide[i] = ("local v%d = ('z'):rep(200)"):format(i) end
_, read, line = shot_json(table.concat(wide, "\n") .. "\nreturn v1 --@", { locals = true, bytes = 1000 })
check.equal(#read.locals, 150, "all are named")
check.equal(read.locals[150].value.cut, "bytes")
values = shot_json("return (function(...)\n return ... --@\nend)(" .. ("1,"):rep(100) .. "1)", { varargs = true, entries = 5 }, nil, "varargs")
check.equal(#values, 6)
check.equal(values[6].cut, "entries")
local long = shot("local s = ('x'):rep(100)\nreturn s --@", nil, nil, { log = ("{s}"):rep(199) .. "{s:rep(100)}" })
check.truthy(#long < 199 * 200 + 1000 and #long > 16384, "a log line of " .. #long)

---- nothing of the program's runs, unless asked

local ran = 0
local function run() ran = ran + 1 error("a metamethod ran") end
local all = { __index = run, __newindex = run, __tostring = run, __len = run, __eq = run, __lt = run, __le = run, __call = run,
    __concat = run, __unm = run, __add = run, __pairs = run, __ipairs = run, __metatable = "hidden", __name = "N", __mode = nil }
local env = { all = all }
local code = [[
local t = setmetatable({1, 2, x = 3, [setmetatable({}, all)] = 4}, all)
local u = newproxy(true)
for k, v in pairs(all) do if k ~= '__metatable' then getmetatable(u)[k] = v end end
local c = cdata
return 0 --@]]
ffi.cdef "typedef struct { int x; } ljinspect_test_point;"
env.cdata = ffi.metatype("ljinspect_test_point", { __index = run, __tostring = run, __len = run, __eq = run })(1)
for _, format in ipairs { "text", "json" } do
    local line = shot(code, { locals = true, upvalues = true, format = format, stack = 5, stack_locals = 5 }, env)
    check.matches(line, "x")
    check.equal(ran, 0, "metamethods that ran")
end
check.equal(ran, 0)
check.matches(shot("local t = setmetatable({}, {__tostring = function() return 'me' end})\nreturn t --@",
    { locals = true, tostring = true }), '^locals%(t="me"%)$', "__tostring where it was asked for")
check.matches(shot(code, { locals = true, tostring = true }, env), "a metamethod ran", "its error is text")
check.truthy(ran > 0)
for _, tostring_ in ipairs { "nil", "1", "{}", "'x'", "function() return {} end", "function() return nil end", "function() error({}) end",
    "function() coroutine.yield() end", "setmetatable({}, {__call = function() return 'x' end})" } do
    local made = ("local t = setmetatable({1}, {__tostring = %s})\nreturn t --@"):format(tostring_)
    for _, format in ipairs { "text", "json" } do
        local line = shot(made, { locals = true, tostring = true, format = format })
        if format == "json" then check.truthy(pcall(json.read, line), tostring_) end
        check.matches(line, "t", tostring_)
    end
end
-- one that changes the table it is shown from, and one that does not end
local _, _, changed = shot("local t = {}\nfor i = 1, 5 do t[i] = setmetatable({}, {__tostring = function() for k = 1, 1000 do t['n' .. k] = k end return 'x' end}) end\nreturn t --@",
    { locals = true, tostring = true })
check.truthy(changed.errors <= 1)
ljinspect.limits { filter_ms = 20 }
check.matches(shot("local t = setmetatable({}, {__tostring = function() while true do end end})\nreturn t --@",
    { locals = true, tostring = true }), "ran longer than 20 ms")
ljinspect.limits { filter_ms = 50 }

---- masks

values = shot_json([[
local password, user = 'p1', {name = 'n', auth_token = 't1', headers = {Authorization = 'Basic x', ['Set-Cookie'] = 'c'}, iban = 'DE1'}
return user --@]], { locals = true, mask = { "IBAN" } })
check.equal(values.password.masked, true)
check.equal(values.password.value, nil)
t = entries(values.user)
check.equal(t.name.value, "n")
check.equal(t.auth_token.masked, true)
check.equal(t.iban.masked, true)
check.equal(entries(t.headers).Authorization.masked, true)
check.equal(entries(t.headers)["Set-Cookie"].masked, true)
line = shot("local secret = 's1'\nlocal function f(...)\n local token = 't2'\n return secret, token --@\nend\nf({cookie = 'c3'})",
    { locals = true, upvalues = true, varargs = true, stack = 2, stack_locals = 2 }, nil, { log = "{({passwd = 'p4'})}" })
for _, hidden in ipairs { "s1", "t2", "c3", "p4" } do check.equal(line:find(hidden, 1, true), nil, hidden .. " is shown") end

---- places

-- every variable of a deep stack, near the end of the Lua stack
local deep = [[
local function f(n)
    local a, b, c = n, {n}, 'x'
    if n == 0 then return 0 end --@
    return f(n - 1) + 1
end
return f(%d)]]
for _, n in ipairs { 10, 150, 5000, 8000 } do
    local line, got = shot(deep:format(n), { locals = true, stack = 200, stack_locals = 200, bytes = 100000 }, nil,
        { condition = n > 150 and "n == 0" or nil })
    check.equal(got, n, "the program's result")
    check.matches(line, "stack")
end
local overflow = loadstring("local function f(n) local t = n\n return f(n + 1) + t\nend\nreturn pcall(f, 1)", "@overflow.lua")
assert(ljinspect.set_hook { file = "overflow.lua", line = 2, log = "{n} {t}", capture = true, sink = sink, per_second = 10, budget = 0 })
local ok, message = overflow()
check.equal(ok, false)
check.matches(message, "stack overflow")
ljinspect.unset_all()
check.equal(#log, 0, table.concat(log, "\n"))
check.done()
