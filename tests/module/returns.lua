-- Hooks on the returns of functions: what is seen of them, which calls they are, and how long these took.
local ljinspect = require "ljinspect"
local directory = arg[0]:match("^(.*)/") or "."
local check = dofile(directory .. "/lib/check.lua")
local json = dofile(directory .. "/lib/json.lua")

local log = {}
ljinspect.set_logger(function(level, message) log[#log + 1] = message end)

if ljinspect.status().engine == "line" then
    local ok, message = pcall(ljinspect.set_hook, { func = function() return 1 end, at = "return", log = "x" })
    check.equal(ok, false, "the line engine sees no returns")
    check.matches(message, "at: returns are seen by the trap engine only, and this VM has the engine 'line'")
    check.equal(#ljinspect.hooks(), 0)
    check.truthy(ljinspect.set_hook { func = function() return 1 end, at = "entry", log = "x" }, "but entries")
    check.done()
end

-- Hook the returns of `f` and run `body`: the lines that are logged, without the key.
local function lines_of(f, options, body, ...)
    local before, out = #log, {}
    options.func, options.at = f, "return"
    options.budget = 0
    local id = ljinspect.set_hook(options)
    body(...)
    ljinspect.unset_all()
    for i = before + 1, #log do out[#out + 1] = (log[i]:gsub("^ljinspect: ", ""):gsub("^@[^ ]+:return: ?", "")) end
    return table.concat(out, "|"), id
end

-- The values that `f` returns, as its hook shows them.
local function returned(f, ...)
    return (lines_of(f, { log = "{returns.n}{(function(r) local s = '' for i = 1, r.n do s = s .. ' ' .. r[i] end return s end)" ..
        "((function(r) local t = {n = r.n} for i = 1, r.n do t[i] = r[i] == nil and 'nil' or r[i] end return t end)(returns))}" },
        f, ...))
end

---- values

local function pass(...) return ... end
check.equal(returned(function() end), "0", "the end of a function returns nothing")
check.equal(returned(function() return end), "0")
check.equal(returned(function() return nil end), "1 nil")
check.equal(returned(function(a) return a end, "x"), "1 x")
check.equal(returned(function(a, b) return b, a, nil end, 1, 2), "3 2 1 nil")
check.equal(returned(pass), "0", "varargs")
check.equal(returned(pass, 1, 2, 3), "3 1 2 3")
check.equal(returned(function(...) return "first", ... end, 2, 3), "3 first 2 3")
check.equal(returned(function(...) return "first", pass(...) end, 2, 3), "3 first 2 3", "results of a call behind others")
check.equal(returned(function(...) return (pass(...)) end, 2, 3), "1 2")
check.equal(returned(function(n) return pass(unpack({}, 1, n)) end, 5), "0", "a tail call has no values")
check.equal(lines_of(pass, { log = "{returns.n} {returns[7000]}" }, function() return pass(unpack({ [7000] = "last" }, 1, 7000)) end),
    "7000 last", "as many as there are")

-- upvalues that are closed before the return, one of which comes before the first closure
local function closes(x)
    if x == 1 then return "early", x end
    local y = "y"
    if x == 2 then return pass(x, y) end
    if x == 3 then return "none", pass(x, y) end
    do
        local z = function() return y end
        if x == 4 then return z(), "z" end
    end
    local last = function() y = x end
    last()
    return y
end
check.equal(returned(closes, 1), "2 early 1")
check.equal(returned(closes, 2), "0")
check.equal(returned(closes, 3), "3 none 3 y")
check.equal(returned(closes, 4), "2 y z")
check.equal(returned(closes, 5), "1 5")
check.equal(lines_of(closes, { log = "{x} {y} {tail_call}" }, function() for x = 1, 5 do closes(x) end end),
    "1 nil false|2 y true|3 y false|4 y false|5 5 false", "and the locals of each")

---- what expressions see

local up = "up"
local function seen(a, ...)
    local b = a + 1
    if a > 5 then return b end
    return up, b
end
check.equal(lines_of(seen, { log = "{a} {b} {up} {...} {type(duration_us)} {tail_call} {#returns}" }, function() seen(1, "v") seen(6) end),
    "1 2 up v number false 2|6 7 up nil number false 1")
check.equal(lines_of(seen, { condition = "returns[1] == 8 and a == 7", log = "{b}" }, function() for i = 1, 9 do seen(i) end end), "8")
check.equal(lines_of(seen, { condition = "returns[1].x.y", log = "x" }, seen, 1):gsub(":.*", ""), "error in condition, which counts as false; not logged again")
check.equal(lines_of(seen, { log = "{(function() returns = 1 return returns end)()} {returns[1]} {(function() returns[1] = 5 end)()}" },
    function() check.equal((seen(1)), "up", "what is returned stays") end), "1 up nil", "assignments change copies")
local function shadows(returns, duration_us) local tail_call = "t" return returns .. duration_us .. tail_call end
check.equal(lines_of(shadows, { log = "{returns[1]} {type(duration_us)} {tail_call}" }, shadows, "a", "b"), "abt number false",
    "names of the return come before those of the program")
ljinspect.set_hook { func = shadows, log = "{returns} {duration_us} {tail_call}" }
shadows("a", "b")
check.matches(log[#log], ": a b nil$", "at the entry they are the program's")
ljinspect.unset_all()

---- filters

local infos = {}
lines_of(seen, { filter = function(info) infos[#infos + 1] = info return false end }, function() seen(1, "v") end)
check.equal(infos[1].returns.n, 2)
check.equal(infos[1].returns[1], "up")
check.equal(infos[1].returns[2], 2)
check.equal(infos[1].tail_call, false)
check.truthy(infos[1].duration_us > 0)
check.equal(infos[1].vals.a, 1)
check.equal(infos[1].varargs[1], "v")
local here = debug.getinfo(seen, "S").linedefined
check.equal(infos[1].finfo.currentline, here + 3, "the line of the return")
check.equal(infos[1].finfo.linedefined, here)
lines_of(seen, { filter = function(info) infos[2] = info.duration_us return false end }, seen, 1)
check.equal(type(infos[2]), "number", "parts that a filter names alone")
lines_of(seen, { filter = function(info) infos[3] = info.tail_call return false end }, seen, 1)
check.equal(infos[3], false)
lines_of(seen, { filter = function(info) infos[4] = debug.traceback("t", 3) return false end }, seen, 1)
check.matches(infos[4], "^t\nstack traceback:\n[^\n]*returns.lua:" .. here + 3)

---- snapshots

check.matches(lines_of(seen, { capture = true }, seen, 1, "v"), '^returns%("up", 2%) after [%d.]+ us locals%(a=1, b=2%) upvalues%(up="up"%) varargs%("v"%)$')
local function tail(x) return pass(x) end
check.matches(lines_of(tail, { capture = { returns = true } }, tail, 1), "^returns%(%) tail call after [%d.]+ us$")
check.matches(lines_of(tail, { log = "m", capture = { stack = 1 } }, tail, 1), "^m tail call after [%d.]+ us stack%([^ ]*returns.lua:%d+ %(")
local snapshot = json.read((lines_of(seen, { capture = { returns = true, stack = 1, format = "json" } }, seen, 1)))
check.equal(#snapshot.returns, 2)
check.equal(snapshot.returns[1].value, "up")
check.equal(snapshot.returns[2].value, 2)
check.equal(snapshot.tail_call, false)
check.truthy(snapshot.duration_us > 0)
check.equal(snapshot["function"].line, here + 3)
check.equal(snapshot.stack[1].line, here + 3)
check.equal(snapshot.locals, nil)
check.matches(snapshot.key, "#" .. here + 1 .. ":return$")
snapshot = json.read((lines_of(tail, { capture = { returns = true, format = "json" } }, tail, 1)))
check.equal(snapshot.tail_call, true)
check.equal(#snapshot.returns, 0)
check.matches(lines_of(pass, { capture = { returns = true, entries = 2 } }, function() pass(1, 2, 3) end), "^returns%(1, 2, %.%.%.%)")
snapshot = json.read((lines_of(pass, { capture = { returns = true, entries = 2, format = "json" } }, function() pass(1, 2, 3) end)))
check.equal(#snapshot.returns, 3)
check.equal(snapshot.returns[3].cut, "entries")

-- what a function returns that is called by a masked word
vault = { get_token = function() return "secret" end }
local before = #log
ljinspect.set_hook { func = "vault.get_token", at = "return", capture = true }
pcall(vault.get_token)
check.matches(log[#log], "returns%(<string, masked>%)")
ljinspect.unset_all()
check.matches(lines_of(vault.get_token, { capture = true }, function() return (vault.get_token()) end), "returns%(<string, masked>%)")
check.matches(lines_of(seen, { capture = true }, function() local get_cookie = seen return (get_cookie(1)) end), "returns%(<string, masked>, <number, masked>%)")
check.equal(#log, before + 1 + 2)

---- counting

check.matches(lines_of(seen, { histogram = "returns[1] + 0", interval = 1000, hits = 4 }, function() for i = 10, 13 do seen(i) end end),
    "^4 hits in .*; returns%[1%] %+ 0: min 11, mean 12.5, max 14, %[8, 16%): 4$")
check.matches(lines_of(seen, { count = true, interval = 1000, hits = 3 }, function() for i = 1, 3 do seen(i) end end), "^3 hits in ")
check.matches(lines_of(seen, { histogram = "duration_us", interval = 1000, hits = 50 }, function() for i = 1, 50 do seen(i) end end),
    "^50 hits in .*; duration_us: min [%d.]+, mean [%d.]+, max [%d.]+, ")
check.equal(lines_of(seen, { per_second = 2, log = "{a}" }, function() for i = 1, 50 do seen(i) end end), "1|2")
check.equal(lines_of(seen, { hits = 2, log = "{a}" }, function() for i = 1, 50 do seen(i) end end), "1|2")

---- how long

-- A wall clock takes the FFI library. Without it durations are only known not to be too short.
local has_ffi, ffi = pcall(require, "ffi")
local now_us = function() return os.clock() * 1e6 end
if has_ffi then
    ffi.cdef [[
    typedef struct { long s, ns; } returns_time;
    int clock_gettime(int id, returns_time *t);
    ]]
    local time = ffi.new "returns_time"
    now_us = function()
        ffi.C.clock_gettime(1, time)
        return tonumber(time.s) * 1e6 + tonumber(time.ns) / 1000
    end
    jit.off(now_us)
else
    print("no FFI library: durations are not compared with a clock")
end
-- The two clocks differ; under valgrind, where reading one takes longer, by more.
local times = os.getenv "LJINSPECT_VALGRIND" and 2 or 1.02
local function spin(us) local from = now_us() repeat local to = now_us() until to >= from + us end

local durations = {}
local function note(info) durations[#durations + 1] = info.duration_us or "unknown" return false end
local function hook(f) assert(ljinspect.set_hook { func = f, at = "return", filter = note, budget = 0 }) end

-- Call `f`, which may fail, and say what its hooks noted meanwhile: no duration can be more than what the whole took, so one
-- that is is another call's. "long": not less than one `spin(2000)`, either.
local function calls(expected, f, ...)
    durations = {}
    local from = now_us()
    pcall(f, ...)
    local most = has_ffi and (now_us() - from) * times + 20 or 1e9
    local at = 0
    for word in expected:gmatch("%a+") do
        at = at + 1
        local us = durations[at]
        local what = ("%s, call %d: %s us of %.0f"):format(expected, at, tostring(us), most)
        if word == "unknown" then
            check.equal(us, "unknown", what)
        else
            check.truthy(type(us) == "number" and us > 0 and us <= most and (word ~= "long" or us >= 2000), what)
        end
    end
    check.equal(#durations, at, "calls that return")
end

local function slow() spin(2000) end
hook(slow)
calls("long", slow)
calls("long long", function() slow() slow() end)
ljinspect.unset_all()

-- a call left by an error, and the next ones at its place on the stack
local function fails(how) if how == "error" then spin(2000) error("x") end return how end
hook(fails)
calls("", fails, "error")
calls("ok", fails, "well")
calls("ok", fails, "well")
ljinspect.unset_all()

-- the hook comes while the call runs; before, another was left by an error at the same place
local function during(what)
    if what == "error" then spin(2000) error("x") end
    if what == "set" then hook(debug.getinfo(1, "f").func) end
    return what
end
hook(during)
calls("", during, "error")
ljinspect.unset_all()
calls("unknown", during, "set")
calls("ok", during, "well")
ljinspect.unset_all()

-- coroutines: two that are in the same function at the same depth; one that is never resumed
local function yields() coroutine.yield() return 1 end
hook(yields)
local a, b = coroutine.wrap(yields), coroutine.wrap(yields)
a()
spin(2000)
calls("ok", function() b() b() end)
durations = {}
a()
check.truthy(durations[1] >= 2000)
do coroutine.wrap(yields)() end
spin(2000)
collectgarbage()
collectgarbage()
for _ = 1, 100 do calls("ok", function() local c = coroutine.wrap(yields) c() c() end) end
ljinspect.unset_all()

-- recursion, and tail calls, also of itself
local function deep(n) if n == 0 then spin(2000) return 0 end local below = deep(n - 1) return below + 1 end
hook(deep)
calls("long long long long", deep, 3)
ljinspect.unset_all()
local function down(n) if n == 0 then return "end" end spin(2000) return down(n - 1) end
hook(down)
calls("long long ok", down, 2) -- what a tail call leads to is a call of its own
ljinspect.unset_all()

-- functions whose first instruction is that of a loop
local function loops(n, us) while n > 0 do n = n - 1 spin(us) if n == 7 then n = 6 end end return n end
local function repeats(n) repeat n = n - 1 spin(300) until n < 0 return n end
local count
local function forever() ::top:: do spin(300) count = count + 1 end if count < 10 then goto top end return count end
local function asks(box, limit) repeat box.n = box.n - 1 spin(300) until box < limit return box.n end
hook(loops)
calls("long", loops, 10, 300)
calls("", loops, 10, "wrong")
calls("ok", loops, 1, 1)
ljinspect.unset_all()
hook(repeats)
calls("long", repeats, 10)
calls("", repeats, "wrong")
spin(2000)
calls("ok", repeats, 1)
ljinspect.unset_all()
count = 0
hook(forever)
calls("long", forever)
ljinspect.unset_all()

-- where a comparison leads back there that may have raised an error, it cannot be told from a new call
local mt = { __lt = function(x) if x.fails then error("x") end return x.n < 0 end }
local function box(n, wrong) return setmetatable({ n = n, fails = wrong }, mt) end
hook(asks)
calls("", asks, box(5, true), box(0))
spin(2000)
calls("unknown", asks, box(-5), box(0))
calls("ok", asks, box(-5), box(0))
calls("unknown", asks, box(5), box(0))
ljinspect.unset_all()

-- the hook comes by a debug hook of the program, at the first instruction, which is in a loop
for at = 1, 40 do
    local function runs(n) while n > 0 do n = n - 1 end return n end
    local seen = 0
    debug.sethook(function()
        if debug.getinfo(2, "f").func ~= runs then return end
        seen = seen + 1
        if seen == at then hook(runs) debug.sethook() end
    end, "", 1)
    calls("unknown", runs, 20)
    debug.sethook()
    calls("ok", runs, 10)
    ljinspect.unset_all()
end

-- more calls that never return than are remembered
do
    local function waits() coroutine.yield() end
    hook(waits)
    for _ = 1, 150000 do coroutine.resume(coroutine.create(waits)) end
    calls("ok", function() local c = coroutine.wrap(waits) c() c() end)
    ljinspect.unset_all()
end

---- whole programs: with hooks on the returns of all functions they print the same, and hits are what wrappers count

-- Functions made by chance that call each other through M, and what calls them. `out` takes what it prints.
function inside() -- a coroutine; with Lua 5.2's functions the main one is one, too
    local co, main = coroutine.running()
    return co and not main
end
local function program(seed, out)
    math.randomseed(seed)
    local M, n, random = {}, 12, math.random
    local function call(depth) return ("M.f%d(%s)"):format(random(n), depth) end
    local function piece()
        local kinds = {
            function() return "if d % " .. random(2, 4) .. " == 0 then return " .. call "d - 1" .. " end" end,
            function() return "if d % " .. random(2, 4) .. " == 0 then return d, (" .. call "d - 1" .. ") end" end,
            function() return "if d % 5 == " .. random(0, 4) .. " then return d, ... end" end,
            function() return "if d % 5 == " .. random(0, 4) .. " then return select('#', ...), " .. call "d - 2" .. " end" end,
            function() return "local up = d\nlocal function get() return up end\nif d % 3 == 1 then return get(), up end" end,
            function() return "for i = 1, 3 do local v = i M.n = M.n + (function() return v end)() end" end,
            function() return "local ok, m = pcall(M.f" .. random(n) .. ", d - 1) if not ok then out('caught', m) end" end,
            function() return seed % 3 == 0 and "M.n = 1" or "if d == " .. random(1, 5) .. " then error('e' .. d, 0) end" end,
            function() return seed % 3 == 0 and "M.n = 1" or "if d > 2 then local c = coroutine.wrap(M.f" .. random(n) .. ") out(pcall(c, d - 2)) out(pcall(c)) end" end,
            function() return "if inside() then coroutine.yield(d) end" end,
            function() return "repeat M.n = M.n + 1 until M.n % 3 == 0" end,
            function() return "out((" .. call "d - 1, ..." .. "))" end,
            function() return "local s = tostring(M.n) out(#s, s .. 'x' < 'y')" end,
            function() return "do return end" end,
        }
        return kinds[random(#kinds)]()
    end
    for i = 1, n do
        local loop = random(3) == 1 and "while d < 0 do d = d + 1 if d < -100 then d = -50 end end\n" or ""
        local code = { "local M, out = ...\nreturn function(d, ...) " .. loop .. "if d <= 0 then return d end M.budget = M.budget - 1 if M.budget < 0 then return end" }
        for k = 1, random(1, 6) do
            code[k + 1] = piece()
            if code[k + 1] == "do return end" and k < 6 then code[k + 1] = "if M.n % 7 == 0 then return end" end
        end
        code[#code + 1] = random(2) == 1 and "return " .. call "d - 1, d, ..." or ""
        code[#code + 1] = "end"
        code = table.concat(code, "\n")
        M.cut = M.cut or code:find("error", 1, true) or code:find("coroutine.wrap", 1, true) -- calls may not come to their end
        M["f" .. i] = assert(loadstring(code, "@made-" .. seed .. "-" .. i))(M, out)
    end
    M.n = 0
    return M, function()
        for i = 1, n do
            M.budget = 400
            local results = { pcall(M["f" .. i], 6, "v") }
            for k = 1, #results do results[k] = tostring(results[k]) end
            out(i, unpack(results))
        end
    end
end

local function run(seed, prepare)
    local lines = {}
    local function out(...)
        local t = { ... }
        for i = 1, select("#", ...) do t[i] = tostring((select(i, ...))) end
        lines[#lines + 1] = table.concat(t, " ")
    end
    local M, main = program(seed, out)
    local counts = prepare and prepare(M)
    main()
    ljinspect.unset_all()
    return table.concat(lines, "\n"), counts, M.cut
end

-- A count of normal returns: what a wrapper sees, called in place of the function by others.
local function wrapped(M)
    local counts = {}
    for i = 1, 12 do
        local name = "f" .. i
        local f = M[name]
        counts[name] = 0
        local function done(...) counts[name] = counts[name] + 1 return ... end
        M[name] = function(...) return done(f(...)) end
    end
    return counts
end

local returns_seen, tails_seen = 0, 0
local function hooked(M)
    local counts = { open = 0 }
    for i = 1, 12 do
        local name = "f" .. i
        counts[name] = 0
        assert(ljinspect.set_hook { func = M[name], at = "return", budget = 0, filter = function(info)
            counts[name] = counts[name] + 1
            returns_seen = returns_seen + 1
            if info.tail_call then tails_seen = tails_seen + 1 end
            if type(info.duration_us) ~= "number" then counts.open = counts.open + 1 end
            if info.returns.n < 0 or info.vals.d == nil then counts.open = counts.open + 1 end
            return false
        end })
    end
    return counts
end

-- A function that is left by a tail call returns, for its wrapper, when that call does: never, if that fails, or waits in a
-- coroutine for ever.
local equal_ones = 0
for seed = 1, 60 do
    local plain, _, cut = run(seed)
    local by_wrapper, expected = run(seed, wrapped)
    local by_hook, counts = run(seed, hooked)
    check.equal(by_hook, plain, "seed " .. seed)
    check.equal(counts.open, 0, "seed " .. seed .. ": all durations are known")
    if by_wrapper == plain then -- else the wrappers' frames show
        for name, n in pairs(expected) do
            check.truthy(counts[name] >= n, ("seed %d %s: %d of %d"):format(seed, name, counts[name], n))
            if not cut then
                check.equal(counts[name], n, "seed " .. seed .. " " .. name)
                equal_ones = equal_ones + n
            end
        end
    end
end
check.truthy(equal_ones > 500, equal_ones)
check.truthy(returns_seen > 2000 and tails_seen > 200, returns_seen .. " returns, " .. tails_seen .. " of them tail calls")

---- which function

local made = {}
for i = 1, 2 do made[i] = function() return i end end
lines_of(made[1], { log = "{i}" }, function()
    made[1]()
    made[2]()
    check.equal(ljinspect.hooks()[1].hits, 1, "not another function of the same code")
end)
check.equal(lines_of(seen, { log = "x" }, function()
    local h = ljinspect.hooks()[1]
    check.equal(h.state, "armed")
    check.equal(h.line, here + 1)
    check.matches(h.key, "returns.lua#" .. here + 1 .. ":return$")
    check.equal(ljinspect.unset_hook(h.file, h.line), 1, "unset by file and line")
    seen(1)
end), "")
-- beside hooks on lines: on the return's line, on the first, on all
for _, at in ipairs { here + 1, here + 2, here + 3 } do
    local order = {}
    ljinspect.set_hook(arg[0]:match("[^/]+$"), at, nil, function() order[#order + 1] = "line" return false end)
    ljinspect.set_hook { func = seen, at = "return", filter = function() order[#order + 1] = "return" return false end }
    seen(1)
    check.equal(table.concat(order, " "), "line return")
    ljinspect.unset_hook(arg[0]:match("[^/]+$"), at)
    seen(1)
    check.equal(table.concat(order, " "), "line return return")
    ljinspect.unset_all()
    seen(1)
    check.equal(#order, 3)
end
-- hooks that come and go inside a hit of a return
local goes = 0
ljinspect.set_hook { func = seen, at = "return", filter = function()
    goes = goes + 1
    ljinspect.unset_all()
    ljinspect.set_hook { func = seen, at = "return", filter = function() goes = goes + 10 end }
    return false
end }
check.equal((seen(1)), "up")
check.equal((seen(1)), "up")
check.equal((seen(1)), "up")
check.equal(goes, 11)
check.equal(#ljinspect.hooks(), 0)

-- a main chunk; the program's own return hook sees each return once, whatever hooks there are
local chunk = assert(loadstring("local n = ... return n, 'chunk'", "@chunk.lua"))
check.equal(returned(chunk, 5), "2 5 chunk")
for _, hooked in ipairs { false, true } do
    local events = 0
    if hooked then hook(seen) end
    calls(hooked and "ok ok" or "", function()
        debug.sethook(function() if debug.getinfo(2, "f").func == seen then events = events + 1 end end, "r")
        seen(1)
        seen(9)
        debug.sethook()
    end)
    check.equal(events, 2)
    ljinspect.unset_all()
end

-- compiled code: callers that had inlined the function, and the speed that comes back, is for others; here hits are counted
local function inlined(x) return x + 1 end
local function caller(n) local s = 0 for i = 1, n do s = inlined(s) end return s end
for _ = 1, 5 do caller(1000) end
hook(inlined)
durations = {}
check.equal(caller(1000), 1000)
check.equal(#durations, 1000)
durations = {}
ljinspect.unset_all()
check.equal(caller(1000), 1000)
check.equal(#durations, 0)

check.done()
