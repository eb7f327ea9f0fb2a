-- Directed tests of the trap engine; run by directed.c. Lines to hook bear a mark: --@name
local where = ...
local lines, n = {}, 0
local path = debug.getinfo(1, "S").source:sub(2)
for text in io.lines(path) do
  n = n + 1
  local mark = text:match("%-%-@(%w+)")
  if mark then lines[mark] = n end
end
local jit_on = jit.status()
local function armed(mark) local rc = arm(lines[mark]) assert(rc == 0, mark .. ": arm " .. rc) end
local function off(mark) disarm(lines[mark]) end
local counted = {}
local function count(mark)
  local h = hits(lines[mark])
  local d = h - (counted[mark] or 0)
  counted[mark] = h
  return d
end
local function equal(got, want, what)
  if got ~= want then error(("%s: got %s, expected %s"):format(what, tostring(got), tostring(want)), 2) end
end
local tests, order = {}, {}
setmetatable(tests, { __newindex = function(_, name, f) order[#order + 1] = { name, f } end })

function tests.compiled_and_inlined_code_is_hit()
  local function inner(x)
    return x + 1 --@inlined
  end
  local function outer(n)
    local s = 0
    for i = 1, n do s = inner(s) end
    return s
  end
  outer(1000)
  armed "inlined"
  equal(outer(1000), 1000, "result")
  equal(count "inlined", 1000, "hits")
  off "inlined"
  equal(outer(1000), 1000, "result")
  equal(count "inlined", 0, "hits after")
end

function tests.a_loop_that_runs_compiled_is_hit()
  local stop = 100000
  local co = coroutine.wrap(function()
    while true do
      local x = 0
      for i = 1, stop do
        x = x + i --@hotloop
      end
      coroutine.yield(x)
    end
  end)
  co() co()
  armed "hotloop"
  co()
  equal(count "hotloop", stop, "hits")
  off "hotloop"
  co()
  equal(count "hotloop", 0, "hits after")
end

function tests.only_traces_with_the_function_are_dropped()
  if not jit_on then return end
  local util = require "jit.util"
  local function leaf(x)
    return x + 1 --@dropped
  end
  local function with(n) local s = 0 for i = 1, n do s = leaf(s) end return s end
  local function without(n) local s = 0 for i = 1, n do s = s + i end return s end
  local function nested(n, m)
    local s = 0
    for i = 1, n do
      for j = 1, m do s = leaf(s) end
      for j = 1, m do s = s - 1 end
    end
    return s
  end
  local function through(n) local s = 0 for i = 1, n do s = s + with(3) end return s end
  local flushed, started = 0, 0
  local function on_trace(what) if what == "flush" then flushed = flushed + 1 elseif what == "start" then started = started + 1 end end
  jit.flush()
  for i = 1, 20 do without(100) end
  for i = 1, 20 do with(100) nested(60, 20) through(100) end
  jit.attach(on_trace, "trace")
  armed "dropped"
  equal(flushed, 0, "flushes")
  started = 0
  without(1000)
  equal(started, 0, "recordings")
  equal(with(1000), 1000, "with") equal(count "dropped", 1000, "hits")
  equal(nested(30, 20), 0, "nested") equal(count "dropped", 600, "hits")
  equal(through(100), 300, "through") equal(count "dropped", 300, "hits")
  off "dropped"
  jit.attach(on_trace)
end

function tests.polymorphic_and_method_calls_in_traces_are_hit()
  local classes = {}
  for i = 1, 4 do
    local C = {} C.__index = C
    classes[i] = C
  end
  classes[1].get = function(self) return self.v end
  classes[2].get = function(self)
    return self.v --@poly
  end
  classes[3].get = function(self) return self.v end
  classes[4].get = function(self) return -self.v end
  local objs = {}
  for i = 1, 100 do objs[i] = setmetatable({ v = i }, classes[i % 4 + 1]) end
  local function sum() local s = 0 for i = 1, 100 do s = s + objs[i]:get() end return s end
  local function each(f) for i = 1, 100 do f(objs[i]) end end
  local made = {}
  for i = 1, 100 do made[i] = function() return i end end
  local want = sum()
  for i = 1, 200 do sum() end
  for i = 1, 50 do each(classes[2].get) each(classes[3].get) end
  armed "poly"
  for i = 1, 20 do equal(sum(), want, "sum") end
  equal(count "poly", 25 * 20, "hits")
  each(classes[2].get)
  equal(count "poly", 100, "hits")
  off "poly"
  equal(sum(), want, "sum") equal(count "poly", 0, "after")
end

function tests.recursion_in_traces_is_hit()
  local function fib(n)
    if n < 2 then return n end --@fibone
    return fib(n - 1) + fib(n - 2) --@fibtwo
  end
  local function down(n) if n == 0 then return 0 end return 1 + down(n - 1) end --@down
  local function tail(n) if n == 0 then return 0 end return tail(n - 1) end --@tail
  for i = 1, 20 do fib(12) down(100) tail(100) end
  armed "fibone" armed "down" armed "tail"
  equal(fib(12), 144, "fib") equal(down(100), 100, "down") equal(tail(100), 0, "tail")
  equal(count "fibone", 465, "fib hits") equal(count "down", 101, "down hits") equal(count "tail", 101, "tail hits")
  off "fibone" off "down" off "tail"
  for i = 1, 20 do fib(12) down(100) tail(100) end
end

function tests.stitched_traces_are_hit()
  local function f(x)
    local s = x + 1 --@stitch
    return s
  end
  local function loop(n)
    local s = 0
    for i = 1, n do
      s = f(s)
      string.gsub("abc", "b", "x")
      s = f(s)
      pcall(loadstring, "")
      s = f(s)
    end
    return s
  end
  loop(300)
  local co = coroutine.wrap(function() for i = 1, 1000 do local s = loop(60) coroutine.yield(s) end end)
  co()
  armed "stitch"
  equal(loop(300), 900, "loop") equal(count "stitch", 900, "hits")
  equal(co(), 180, "co") equal(count "stitch", 180, "hits")
  off "stitch"
  equal(loop(300), 900, "loop")
end

function tests.armed_from_within_the_running_loop()
  local function f(x)
    return x + 1 --@within
  end
  local s = 0
  for i = 1, 3000 do
    s = f(s)
    if i == 1500 then armed "within" end
    if i == 2500 then off "within" end
  end
  equal(s, 3000, "result") equal(count "within", 1000, "hits")
end

-- The loop is dropped when the hook comes, for the callee is in it, and LuaJIT gives it up while the hook is there.
function tests.callers_are_compiled_again()
  if not jit_on then return end
  local function callee(a)
    local b = a --@speed
    return b + 1
  end
  local function caller(n)
    local s = 0
    for i = 1, n do s = callee(s) end
    return s
  end
  local stops, aborts, recorded = 0, 0, nil
  local function note(what, trace, func)
    if what == "start" then recorded = func end
    if recorded ~= caller then return end
    if what == "stop" then stops = stops + 1 elseif what == "abort" then aborts = aborts + 1 end
  end
  local function run()
    stops, aborts = 0, 0
    jit.attach(note, "trace")
    for i = 1, 40 do caller(2000) end
    jit.attach(note)
    return stops
  end
  jit.flush()
  equal(run() > 0, true, "compiled before")
  armed "speed"
  equal(run(), 0, "compiled with a hook in the loop")
  assert(aborts > 0, "LuaJIT has not tried, so nothing is shown here")
  equal(count "speed", 80000, "hits")
  off "speed"
  equal(run() > 0, true, "compiled after")
end

-- The loop was compiled before the hook came, the way out of it not: its recordings fail as long as the hook is there.
function tests.ways_out_of_older_loops_are_compiled_again()
  if not jit_on then return end
  local util = require "jit.util"
  local function callee(a)
    local b = a --@wayout
    return b + 1
  end
  local rare = false
  local function loop(n)
    local s = 0
    for i = 1, n do
      if rare then s = callee(s) else s = s + 1 end
    end
    return s
  end
  local function given_up()
    local n = 0
    collectgarbage() -- what was dropped goes
    for i = 1, 1000 do
      local t = util.traceinfo(i)
      if t and t.linktype == "interpreter" then n = n + 1 end
    end
    return n
  end
  jit.flush()
  for i = 1, 20 do loop(100) end
  armed "wayout"
  rare = true
  for i = 1, 40 do loop(100) end
  equal(count "wayout", 4000, "hits")
  assert(given_up() > 0, "LuaJIT has not given up, so nothing is shown here")
  off "wayout"
  for i = 1, 40 do loop(100) end
  equal(given_up(), 0, "ways out given up in the end")
end

function tests.a_hook_hit_removes_itself_and_others()
  local function f(a)
    local b = a + 1 --@selfone
    local c = b * 2 --@selftwo
    return c
  end
  armed "selfone" armed "selftwo"
  on_hit(function(line)
    off "selfone"
    if line == lines.selftwo then off "selftwo" end
  end)
  for i = 1, 5 do equal(f(i), (i + 1) * 2, "result") end
  on_hit(nil)
  equal(count "selfone", 1, "first") equal(count "selftwo", 1, "second")
end

function tests.hooks_come_during_a_hit()
  local function f(a)
    local b = a + 1 --@setone
    local c = b * 2 --@settwo
    return c --@setthree
  end
  armed "setone"
  on_hit(function(line)
    if line == lines.setone then armed "settwo" armed "setthree" end
    if line == lines.setthree then off "setone" off "settwo" off "setthree" end
  end)
  equal(f(1), 4, "result") equal(f(1), 4, "result")
  on_hit(nil)
  equal(count "setone", 1, "one") equal(count "settwo", 1, "two") equal(count "setthree", 1, "three")
end

function tests.no_hits_within_a_filter()
  local function f(a)
    return a .. "x" --@nested
  end
  armed "nested"
  on_hit(function() f("y") coroutine.wrap(f)("z") end)
  f("a")
  on_hit(nil)
  equal(count "nested", 1, "hits")
  off "nested"
end

function tests.finalizers_are_hit()
  local function fin()
    local a = 1 --@final
  end
  armed "final"
  for i = 1, 20 do getmetatable(newproxy(true)).__gc = fin end
  collectgarbage() collectgarbage()
  equal(count "final", 20, "hits")
  off "final"
end

function tests.hooks_set_and_removed_within_finalizers()
  local function f(a)
    return a + 1 --@gcset
  end
  local rc
  getmetatable(newproxy(true)).__gc = function() rc = arm(lines.gcset) end
  collectgarbage() collectgarbage()
  assert(rc == 0 or rc == -9, "busy or armed")
  f(1)
  if rc == 0 then off "gcset" end
  count "gcset"
  armed "gcset"
  getmetatable(newproxy(true)).__gc = function() disarm(lines.gcset) end
  f(1)
  collectgarbage() collectgarbage()
  f(1)
  maintain()
  equal(count "gcset", 1, "hits")
end

function tests.removing_a_hook_leaves_the_others_alone()
  local function one(a)
    a = a + 1 --@leftone
    return a * 2 --@gone
  end
  local function two(a)
    return a + 2 --@lefttwo
  end
  armed "leftone" armed "gone" armed "lefttwo"
  one(1) two(1)
  off "gone"
  for i = 1, 5 do one(i) two(i) end
  equal(count "gone", 1, "hits of what is gone")
  equal(count "leftone", 6, "hits in the same function")
  equal(count "lefttwo", 6, "hits in another")
  off "lefttwo"
  one(1) two(1)
  equal(count "lefttwo", 0, "hits after")
  equal(count "leftone", 1, "hits of the last")
  off "leftone"
  one(1)
  equal(count "leftone", 0, "hits after")
end

-- Whenever it comes, the function must be free for the JIT again, also if a hook elsewhere stays.
function tests.a_finalizer_removes_the_hook_that_is_being_set()
  if not jit_on then return end
  local function other(a)
    return a --@stays
  end
  armed "stays"
  collectgarbage("setpause", 0) collectgarbage("setstepmul", 100000) collectgarbage()
  local removed = 0
  for at = 1, 30 do
    local f = loadstring("local s = 0\nfor i = 1, 300 do s = s + i end\nreturn s", "@raced")
    local n, setting = 0, true
    local function fin()
      n = n + 1
      if setting and n == at then
        setting = false
        removed = removed + 1
        disarm(2, "raced")
      elseif setting then
        getmetatable(newproxy(true)).__gc = fin
      end
    end
    getmetatable(newproxy(true)).__gc = fin
    local rc = arm(2, "raced")
    assert(rc == 0, rc)
    local unset = setting
    setting = false
    if unset then disarm(2, "raced") end
    local compiled = false
    local function on_trace(what, _, func) compiled = compiled or what == "start" and func == f end
    jit.attach(on_trace, "trace")
    for i = 1, 3 do f() end
    jit.attach(on_trace)
    assert(compiled, "not compiled any more, finalizer " .. at)
  end
  collectgarbage("setpause", 200) collectgarbage("setstepmul", 200)
  assert(removed > 0, "no finalizer ran in time")
  equal(other(1), 1, "result")
  equal(count "stays", 1, "hits")
  off "stays"
end

function tests.ffi_callbacks_are_hit()
  local ok, ffi = pcall(require, "ffi")
  if not ok then return end
  pcall(ffi.cdef, "int directed_call_back(int (*)(int), int);")
  local function cb(x)
    return x * 2 --@callback
  end
  local c = ffi.cast("int (*)(int)", cb)
  armed "callback"
  equal(ffi.C.directed_call_back(c, 100), 9900, "result")
  equal(count "callback", 100, "hits")
  off "callback"
  c:free()
end

function tests.new_functions_are_hooked_when_parsed()
  equal(arm(2, "=newchunk"), 0, "arm")
  local seen = 0
  local src = "local a = ...\nlocal b = a\nreturn b"
  local f = loadstring(src, "=newchunk")
  local before = hits(2)
  -- hits are only counted for this file; on_hit is not called either: look at the bytecode instead
  local dump = string.dump(f)
  equal(loadstring(dump)(5), 5, "a dump is clean")
  equal(f(7), 7, "result")
  disarm(2, "=newchunk")
end

function tests.dumps_are_clean()
  local function f(a, b)
    local c = a < b --@dump
    return c, function() return a end
  end
  local clean = string.dump(f)
  armed "dump"
  equal(string.dump(f), clean, "dump")
  assert(not pcall(string.dump, print)) assert(not pcall(string.dump))
  f(1, 2)
  equal(count "dump", 1, "hits")
  off "dump"
  equal(string.dump(f), clean, "dump after")
end

function tests.finalizers_are_hit_while_a_function_is_dumped()
  local ran, dumping = 0, false
  local function finalizer()
    ran = ran + 1 --@dumpgc
    if dumping then getmetatable(newproxy(true)).__gc = finalizer end
  end
  local function f() return "a constant" end
  local pause, mul = collectgarbage("setpause", 1), collectgarbage("setstepmul", 10000000)
  armed "dumpgc"
  for i = 1, 300 do
    getmetatable(newproxy(true)).__gc = finalizer
    dumping = true
    string.dump(f)
    dumping = false
  end
  collectgarbage() collectgarbage()
  collectgarbage("setpause", pause) collectgarbage("setstepmul", mul)
  assert(ran > 0)
  equal(count "dumpgc", ran, "hits")
  off "dumpgc"
end

-- As it was, stopped or not, and due no sooner.
function tests.a_dump_leaves_the_collector_alone()
  local function f(a)
    return a --@dumpstop
  end
  armed "dumpstop"
  collectgarbage("stop")
  string.dump(f)
  local ran = false
  getmetatable(newproxy(true)).__gc = function() ran = true end
  for i = 1, 10000 do local t = { i } f = f and f or t end
  equal(ran, false, "a collector that was stopped runs")
  collectgarbage("restart")
  collectgarbage()
  equal(ran, true, "a collector that was not")
  local pause = collectgarbage("setpause", 1000)
  collectgarbage()
  ran = false
  getmetatable(newproxy(true)).__gc = function() ran = true end
  for i = 1, 2000 do string.dump(f) end
  equal(ran, false, "a collection between two was begun")
  collectgarbage("setpause", pause)
  off "dumpstop"
end

function tests.loaded_bytecode_is_hooked_at_the_next_safepoint()
  local function f(a)
    return a + 1 --@loaded
  end
  armed "loaded"
  local copy = loadstring(string.dump(f))
  maintain()
  copy(1)
  equal(count "loaded", 1, "hits")
  off "loaded"
end

function tests.functions_die_while_hooked()
  local src = ("\n"):rep(lines.dying - 1) .. "return function(a) return a < 1 and a .. 'x' or a end"
  armed "dying" --@dying
  for i = 1, 300 do
    local f = loadstring(src, "@directed.lua")()
    f(i)
    if i % 10 == 0 then collectgarbage() end
  end
  collectgarbage() collectgarbage()
  local keep = {}
  for i = 1, 300 do keep[i] = loadstring("local a = " .. i .. " return a < 1 and a .. 'x' or a")() end
  maintain()
  off "dying"
  for i = 1, 300 do equal(keep[i], i, "others") end
  equal(count "dying", 600, "hits")
end

function tests.memory_of_freed_functions_is_used_by_others()
  local hooked = ("\n"):rep(lines.freed - 4) ..
    "local function g(...) return ... end\nlocal function f()\n return tostring(\n g(1, 2)\n ) .. 'x'\nend\nreturn f"
  armed "freed" --@freed
  for round = 1, 5 do
    local fs = {}
    for k = 1, 200 do fs[k] = loadstring(hooked, "@directed.lua")() end
    equal(fs[1](), "1x", "hooked")
    fs = nil
    collectgarbage() collectgarbage()
    local before = hits(lines.freed)
    for k = 1, 200 do
      fs = fs or {}
      fs[k] = loadstring("local function g(...) return ... end\nlocal x = {}\n" .. ("x.a = 1 "):rep(k % 40) ..
        "\nlocal function f()\n" .. ("x.a = 1 "):rep(k % 23) .. "\nreturn tostring(\ng(1, 2)\n) .. 'x'\nend\nreturn f", "@other")()
    end
    for k = 1, 200 do equal(fs[k](), "1x", "others") end
    equal(hits(lines.freed), before, "hits of others")
    fs = nil
    collectgarbage() collectgarbage()
  end
  off "freed"
  count "freed"
end

-- Their bytecode has what traps are in other functions, and no parser announces it.
function tests.memory_of_freed_functions_is_used_by_built_in_ones()
  local texts = {}
  for k = 1, 12 do
    local t = { "local a, b = ..." }
    for i = 1, k do t[#t + 1] = i % 2 == 0 and "a = b.x" or "b = a" end
    texts[k] = table.concat(t, "\n")
  end
  for line = 1, 12 do equal(arm(line, "=freed"), 0, "arm") end
  for round = 1, where == "main" and 30 or 3 do
    local dying, tables = {}, {}
    for i = 1, 500 do dying[i] = assert(loadstring(texts[i % #texts + 1], "=freed")) end
    dying = nil
    collectgarbage() collectgarbage()
    for i = 1, 200 do tables[i] = open_table("table") end
    for i = 1, 200 do
      local s, t = 0, { 1, 2, 3 }
      tables[i].foreachi(t, function(k, v) s = s + k * v end)
      tables[i].foreach(t, function(k, v) s = s + k * v end)
      equal(s, 28, "foreachi and foreach") equal(tables[i].remove(t, 1), 1, "remove")
    end
  end
  for line = 1, 12 do disarm(line, "=freed") end
end

function tests.a_line_entered_from_itself_and_from_elsewhere()
  local function f(c, g)
    local x
    if c then
      x = 1
    else
      g() end local y = x return y --@mixed
  end
  local function one() return 1 end
  armed "mixed"
  f(true, one) equal(count "mixed", 1, "from elsewhere")
  f(false, one) equal(count "mixed", 1, "from itself")
  local function call(...) return pcall(f, ...) end
  call(false, error) equal(count "mixed", 1, "an error")
  call(true, one) equal(count "mixed", 1, "after an error")
  local depth = 200
  local function deeper() depth = depth - 1 if depth > 0 then f(false, deeper) end end
  f(false, deeper) equal(count "mixed", 200, "nested")
  off "mixed"
end

-- LuaJIT makes numbers of them, and dispatches the instruction a second time.
function tests.a_loop_over_strings_is_entered_once()
  local function sum(a, b, c)
    local s = 0
    for i =
      a, b, c
    do --@strings
      s = s + i
    end
    return s
  end
  local function ranges()
    equal(sum(1, 3, 1), 6, "numbers") equal(sum("1", "3", "1"), 6, "strings")
    equal(sum(1, "3", 1), 6, "one string") equal(sum("1", 3, 1), 6, "one string") equal(sum(3, 1, "-1"), 6, "one string")
    equal(sum("3", "1", "1"), 0, "no round")
    assert(not pcall(sum, "x", 3, 1)) assert(not pcall(sum, 1, {}, 1))
  end
  ranges()
  armed "strings"
  ranges()
  equal(count "strings", 8, "hits")
  local function instructions()
    local n = 0
    if jit_on then jit.off() jit.flush() end -- compiled code counts none
    debug.sethook(function() n = n + 1 end, "", 1)
    ranges()
    debug.sethook()
    if jit_on then jit.on() end
    return n
  end
  local n = instructions()
  equal(count "strings", 8, "hits with a count hook")
  off "strings"
  equal(n, instructions(), "instructions")
end

-- An error in an event handler is LuaJIT's own to report: no instruction of the program's follows the step that it ended.
function tests.a_step_that_ends_in_a_handler_while_a_hook_is_being_set()
  if not jit_on then return end
  local function handler(what)
    local x = what + 1 --@handler
    return x
  end
  local text = "text"
  local function fetch()
    local s = text
    return s.len --@fetch
  end
  local function hot() for i = 1, 300 do fetch() os.time() end end
  jit.flush()
  hot() hot() -- compiled, and stitched: dropped as a whole, of which the handler is told
  armed "handler"
  jit.attach(handler, "trace")
  armed "fetch"
  jit.attach(handler)
  assert(count "handler" > 0, "the handler was not called, so nothing is shown here")
  equal(fetch(), string.len, "result")
  equal(count "fetch", 1, "hits")
  off "handler" off "fetch"
  equal(fetch(), string.len, "result after")
end

function tests.a_profiler_during_steps()
  local ok, profile = pcall(require, "jit.profile")
  if not ok or where ~= "main" then return end
  local function f(a, b)
    return a < b --@profiled
  end
  local a, b = ("x"):rep(100000) .. "a", ("x"):rep(100000) .. "b"
  armed "profiled"
  profile.start("i1", function() end)
  for i = 1, 20000 do f(a, b) end
  profile.stop()
  equal(count "profiled", 20000, "hits")
  off "profiled"
end

function tests.stack_overflow_of_hooked_recursion()
  if where ~= "main" then return end
  local function deep(n)
    local s = n .. "" --@deep
    return 1 + deep(n + 1)
  end
  armed "deep"
  local called
  xpcall(function() deep(1) end, function(m) called = m end)
  assert(called, "handler")
  off "deep"
  count "deep"
end

function tests.jit_switches_lose_no_hits()
  local function f(a)
    local b = a + 1 --@switch
    return b
  end
  local function loop(n) local s = 0 for i = 1, n do s = f(s) end return s end
  armed "switch"
  for _, change in ipairs { jit.flush, jit.off, jit.on, function() jit.on(f) end, function() jit.on(f, true) end,
    function() jit.off(f) jit.on(f) end, function() jit.on(loop) end, function() jit.on(true, true) end } do
    pcall(change)
    equal(loop(500), 500, "result")
    equal(count "switch", 500, "hits")
  end
  off "switch"
  if jit_on then jit.on() end
  loop(500)
  equal(count "switch", 0, "hits")
end

-- Whether LuaJIT begins to compile the loop of f.
local function compiles(f)
  local begun = false
  local function on_trace(what, _, func) if what == "start" and func == f then begun = true end end
  jit.attach(on_trace, "trace")
  for _ = 1, 20 do f(200) end
  jit.attach(on_trace)
  return begun
end

function tests.jit_off_and_on_of_a_hooked_function_outlive_the_hook()
  if not jit_on then return end
  local function family()
    return function(n)
      local s = 0
      for i = 1, n do
        s = s + i --@ownswitch
      end
      return s
    end
  end
  local function self(n, switch)
    local s = 0
    for i = 1, n do s = s + i end --@selfswitch
    if switch then switch(true) end
    return s
  end
  local f = family()
  assert(compiles(f), "compiled before")
  armed "ownswitch"
  jit.off(f)
  equal(f(100), 5050, "result")
  equal(count "ownswitch", 100, "hits after jit.off")
  off "ownswitch"
  assert(not compiles(f), "switched off while hooked")

  armed "ownswitch" -- LuaJIT has given up on the loop by now, as it is switched off
  jit.on(f)
  f(100)
  equal(count "ownswitch", 100, "hits after jit.on")
  off "ownswitch"
  assert(compiles(f), "switched on while hooked")

  armed "ownswitch"
  jit.off(family, true) -- with the functions inside it
  off "ownswitch"
  assert(not compiles(f), "switched off through the outer function")
  jit.on(family, true)
  assert(compiles(f), "switched on through the outer function")

  armed "selfswitch"
  self(10, jit.off)
  off "selfswitch"
  count "selfswitch"
  assert(not compiles(self), "switched itself off")
  armed "selfswitch"
  self(10, jit.on)
  equal(count "selfswitch", 10, "hits")
  off "selfswitch"
  assert(compiles(self), "switched itself on")

  armed "selfswitch"
  for _, wrong in ipairs { print, 7, "f" } do assert(not pcall(jit.off, wrong)) end
  jit.off() jit.on()
  self(10)
  equal(count "selfswitch", 10, "hits after wrong calls")
  off "selfswitch"
end

function tests.a_branch_that_is_not_recorded_is_right_after_jit_on()
  if not jit_on then return end
  local function f(n, k)
    local a, b, c = 0, 1, 2
    for i = 1, n do
      if i % k == 0 then
        a = a + b * c --@branch
      end
      b, c = c, b
    end
    return a, b, c
  end
  local a0, b0, c0 = f(1000, 100)
  armed "branch"
  jit.on(f)
  for i = 1, 20 do
    local a, b, c = f(1000, 100)
    equal(a, a0, "a") equal(b, b0, "b") equal(c, c0, "c")
    jit.on(f)
  end
  equal(count "branch", 200, "hits")
  off "branch"
end

function tests.a_further_hook_finds_what_a_host_had_compiled_in_c()
  if not jit_on then return end
  local function leaf(x)
    if x == nil then
      x = 0 --@hostbranch
    end
    x = x + 1 --@hostleaf
    return x
  end
  local function own(rare)
    local s = 0
    if rare then
      s = s + 1 --@hostrare
    end
    for i = 1, 1000 do
      s = s + i --@hostloop
    end
    return s
  end
  local function loop(n)
    local s = 0
    for i = 1, n do s = s + leaf(i) end
    return s
  end
  armed "hostbranch"
  armed "hostrare"
  assert(jit_on_by_host(leaf) and jit_on_by_host(own))
  loop(1000)
  for _ = 1, 100 do own(false) end
  armed "hostleaf"
  armed "hostloop"
  equal(loop(1000), 501500, "result")
  equal(count "hostleaf", 1000, "hits in what was inlined")
  for _ = 1, 10 do equal(own(false), 500500, "result") end
  equal(count "hostloop", 10000, "hits in a loop of its own")
  leaf(nil)
  own(true)
  equal(count "hostbranch", 1, "hits of the first hook")
  equal(count "hostrare", 1, "hits of the first hook")
  for _, mark in ipairs { "hostbranch", "hostrare", "hostleaf", "hostloop" } do off(mark) end
end

function tests.event_handlers_of_the_program()
  local bc, traces = 0, 0
  local function on_bc() bc = bc + 1 end
  local function on_trace() traces = traces + 1 end
  jit.attach(on_bc, "bc") jit.attach(on_trace, "trace")
  armed "speed"
  loadstring("return 1")
  equal(bc, 1, "chained")
  jit.attach(on_bc)
  loadstring("return 1")
  equal(bc, 1, "detached")
  jit.attach(on_bc, "bc")
  maintain()
  loadstring("return 1")
  equal(bc, 2, "attached again")
  off "speed"
  loadstring("return 1")
  equal(bc, 3, "after the hook")
  jit.attach(on_bc) jit.attach(on_trace)
  loadstring("return 1")
  equal(bc, 3, "gone")
end

function tests.the_vm_is_as_it_was()
  local function f(a)
    for i = 1, 3 do a = a + i end --@asitwas
    return a
  end
  local hook, mask, cnt = debug.gethook()
  local events = debug.getregistry()._VMEVENTS
  local had = {}
  for k, v in pairs(events or {}) do had[k] = v end
  armed "asitwas" f(1) off "asitwas"
  for k, v in pairs(debug.getregistry()._VMEVENTS or {}) do equal(v, had[k], "event " .. tostring(k)) end
  local util = require "jit.util"
  armed "asitwas"
  off "asitwas"
  count "asitwas"
end

function tests.a_child_process()
  local function f(a)
    return a + 1 --@child
  end
  armed "child"
  f(1)
  if where == "main" then
    assert(fork(function() f(1) f(2) return count "child" == 3 end), "child")
  end
  f(1)
  equal(count "child", 2, "hits")
  off "child"
end

function tests.metamethods_sort_gsub()
  local t = {}
  for i = 1, 100 do t[i] = (i * 37) % 101 end
  local mt = { __lt = function(a, b)
    return a.v < b.v --@lessthan
  end }
  for i, v in ipairs(t) do t[i] = setmetatable({ v = v }, mt) end
  armed "lessthan"
  table.sort(t)
  for i = 2, 100 do assert(t[i - 1].v <= t[i].v) end
  assert(count "lessthan" > 200)
  off "lessthan"
end

function tests.waking_a_busy_vm()
  local function leaf(a) return a + 1 end
  local function call(n) local s = 0 for i = 1, n do s = leaf(s) end return s end
  local mode = { function() jit.off(call) jit.off(leaf) return call(1000) end,
    function() return pcall(call, 100) end,
    function() return tostring(1) .. ("x"):rep(3):gsub("x", function(c) return c end) end,
    function() local f = loadstring("local s = 0 for i = 1, 100 do s = s + math.floor(i) end return s") return f() end,
    function() return coroutine.wrap(function(...) return select("#", ...) end)(1, 2, 3) end }
  wake(where == "main" and 2000 or 100)
  local i = 0
  while waking() do
    i = i % #mode + 1
    mode[i]()
  end
  local n, ms = woken()
  equal(n, where == "main" and 2000 or 100, "wake-ups")
  if where == "main" then print(("woken %d times, longest wait %.2f ms"):format(n, ms)) end
end

function tests.waking_with_hooks_armed_and_hit()
  local function f(a, b)
    if a < b then --@wakehook
      return a .. b
    end
    return b
  end
  armed "wakehook"
  wake(where == "main" and 500 or 50)
  local k = 0
  while waking() do
    f("a", "b") f(1, 2) pcall(f, 1, "x")
    k = k + 3
  end
  local n = woken()
  equal(n, where == "main" and 500 or 50, "wake-ups")
  equal(count "wakehook", k, "hits")
  off "wakehook"
end

function tests.the_engine_goes_and_comes()
  local function f(a)
    return a + 1 --@comes
  end
  armed "comes"
  f(1)
  engine_close()
  f(1)
  engine_open()
  f(1)
  equal(count "comes", 1, "hits")
  armed "comes"
  f(1)
  equal(count "comes", 1, "hits")
end -- the hook stays: the VM is closed with it

local only = os.getenv("ONLY")
for _, t in ipairs(order) do
  if not only or t[1] == only then
    local ok, e = xpcall(t[2], debug.traceback)
    if where == "main" or not ok then io.write(ok and "ok   " or "FAIL ", t[1], "\n") end
    if not ok then error(e, 0) end
  end
end
