/*
 * How often a line is hit: one hit per arrival. Control arrives at a line when it enters it from another line, by a
 * call, or by a jump back within the line; a return from a call made on the line is no arrival.
 *
 * The hooked line is the one with "--@". `hits` is the expected number for one run of the chunk; -1: the chunk returns it.
 */
#ifndef LJINSPECT_HIT_CASES_H
#define LJINSPECT_HIT_CASES_H

typedef struct hit_case {
    const char *name;
    int hits;
    const char *code;
} hit_case;

/* Helpers a case may use, on lines of another chunk. */
static const char hit_case_prelude[] = "function id(...) return ... end\n"
                                       "function twice(x)\n"
                                       "  local y = id(x)\n"
                                       "  return y + x\n"
                                       "end\n"
                                       "function raise()\n"
                                       "  local x = id(1)\n"
                                       "  error('raised')\n"
                                       "end\n"
                                       "function loops()\n"
                                       "  local x = 0\n"
                                       "  for i = 1, 3 do x = x + id(i) end\n"
                                       "  return x\n"
                                       "end\n"
                                       "function range(n)\n"
                                       "  return function(_, i) i = i + 1 if i <= n then return i end end, nil, 0\n"
                                       "end\n"
                                       "function countdown(n)\n"
                                       "  return function()\n"
                                       "    n = n - 1\n"
                                       "    return n >= 0\n"
                                       "  end\n"
                                       "end\n"
                                       "meta = {}\n"
                                       "function meta.__add(a, b)\n"
                                       "  local x = id(a.v) + id(b.v)\n"
                                       "  return setmetatable({v = x}, meta)\n"
                                       "end\n"
                                       "function meta.__index(t, k) return id(k) end\n"
                                       "function meta.__newindex(t, k, v) rawset(t, id(k), v) end\n"
                                       "function meta.__eq(a, b) return id(a.v) == id(b.v) end\n"
                                       "function meta.__lt(a, b) return id(a.v) < id(b.v) end\n"
                                       "function meta.__le(a, b) return id(a.v) <= id(b.v) end\n"
                                       "function meta.__concat(a, b) return id('x') .. 'y' end\n"
                                       "function meta.__call(self, x) return id(x) end\n"
                                       "function meta.__unm(a) return id(a.v) end\n"
                                       "function meta.__tostring(a) return id('t') end\n"
                                       "function obj(v) return setmetatable({v = v}, meta) end\n"
                                       "function yields(n)\n"
                                       "  return coroutine.wrap(function()\n"
                                       "    for i = 1, n do\n"
                                       "      coroutine.yield(i)\n"
                                       "    end\n"
                                       "  end)\n"
                                       "end\n";

static const hit_case hit_cases[] = {
    {"a plain statement", 1, "local x = 1 --@\nlocal y = x\n"},
    {"several statements", 1, "local a = 1 local b = id(2) a = twice(b) b = twice(a) --@\n"},
    {"a call of a Lua function", 1, "local x = twice(1) --@\nlocal y\n"},
    {"nested calls", 1, "local x = twice(twice(id(twice(1)))) --@\n"},
    {"a call of a C function", 1, "local x = math.abs(-1) --@\n"},
    {"a logical expression with calls", 1, "local x = id(1) and twice(2) or id(3) --@\n"},
    {"a condition with a call, then a call", 1, "if id(true) then twice(1) end --@\n"},
    {"a concatenation of calls", 1, "local x = id('a') .. id('b') .. twice(1) --@\n"},
    {"a table of calls", 1, "local x = {id(1), id(2), twice(3), id(4)} --@\n"},
    {"a method call", 1, "local o = {m = id} local x = o:m(o:m(1)) --@\n"},
    {"a line visited three times by a loop around it", 3, "local x = 0\nfor i = 1, 3 do\n  x = x + i --@\nend\n"},
    {"a line with a call, in a loop around it", 3, "local x = 0\nfor i = 1, 3 do\n  x = x + twice(i) --@\nend\n"},
    {"the only line of a loop's body, the loop called again", 6,
     "local function f()\n  for i = 1, 3 do\n    id(i) --@\n  end\nend\nf()\nf()\n"},
    {"an argument list that leaves the line and comes back for the call", 2, "local x = id( --@\n  id(2),\n  id(3))\n"},
    {"a sum that begins on the line", 1, "local x = twice(1) --@\n  + twice(2)\n"},
    {"the header of a numeric loop", 4, "for i = 1, 3 do --@\n  id(i)\nend\n"},
    {"the header of a while loop", 4, "local i = 0\nwhile i < 3 do --@\n  i = id(i) + 1\nend\n"},
    {"the header of an iterator loop", 4, "local t = {1, 2, 3}\nfor k in pairs(t) do --@\n  id(k)\nend\n"},
    {"the header of a loop with an iterator in Lua", 4, "for k in range(3) do --@\n  id(k)\nend\n"},
    {"the condition of a repeat loop", 3, "local i = 0\nrepeat\n  i = i + 1\nuntil id(i) == 3 --@\n"},
    {"the end of a function", 2, "local function f()\n  id(1)\nend --@\nf()\n"},
    {"a return with a call", 2, "local function f(x)\n  return (twice(x)) --@\nend\nf(1)\nf(2)\n"},
    {"a tail call", 2, "local function f(x)\n  return twice(x) --@\nend\nf(1)\nf(2)\n"},

    {"recursion on the line", 5,
     "local function f(n)\n  if n == 0 then return 1 end\n  return n * f(n - 1) --@\nend\nf(5)\n"},
    {"double recursion on the line", 15,
     "local function f(n)\n  if n == 0 then return 1 end\n  return f(n - 1) + f(n - 1) --@\nend\nf(4)\n"},
    {"tail recursion on the line", 5,
     "local function f(n)\n  if n == 0 then return 1 end\n  return f(n - 1) --@\nend\nf(5)\n"},
    {"a whole recursive function on the line", 5, "local function f(n) if n > 0 then f(n - 1) end end --@\nf(3)\n"},
    {"a whole tail-recursive function on the line", 5,
     "local function f(n) if n > 0 then return f(n - 1) end end --@\nf(3)\n"},
    {"a recursive function with a loop, all on the line", 15,
     "local function f(n) for i = 1, 2 do if n > 0 then f(n - 1) end end end --@\nf(2)\n"},
    {"two functions on the line that call each other", 7,
     "local f, g\n"
     "function f(n) if n > 0 then g(n - 1) end end function g(n) if n > 0 then f(n - 1) end end --@\n"
     "f(5)\n"},

    {"a one-line numeric loop", 3, "local x = 0\nfor i = 1, 3 do x = x + i end --@\nx = 1\n"},
    {"a one-line numeric loop that runs once", 1, "local x = 0\nfor i = 1, 1 do x = x + i end --@\nx = 1\n"},
    {"a one-line numeric loop that never runs", 1, "local x = 0\nfor i = 1, 0 do x = x + i end --@\nx = 1\n"},
    {"an empty one-line loop", 3, "for i = 1, 3 do end --@\n"},
    {"a one-line loop run three times", 9, "for n = 1, 3 do\n  for i = 1, 3 do id() end --@\nend\n"},
    {"a one-line while loop", 4, "local i = 0\nwhile i < 3 do i = i + 1 end --@\ni = 1\n"},
    {"a one-line repeat loop", 3, "local i = 0\nrepeat i = i + 1 until i == 3 --@\ni = 1\n"},
    {"a one-line iterator loop", 4, "local t, x = {1, 2, 3}\nfor k in pairs(t) do x = k end --@\nx = 1\n"},
    {"a one-line ipairs loop", 4, "local t, x = {1, 2, 3}\nfor k, v in ipairs(t) do x = v end --@\nx = 1\n"},
    {"a one-line loop with an iterator in Lua", 4, "local x\nfor k in range(3) do x = k end --@\nx = 1\n"},
    {"a one-line endless loop with break", 3,
     "local i = 0\nwhile true do i = i + 1 if i == 3 then break end end --@\ni = 1\n"},
    {"a one-line goto loop", 3, "local i = 0\n::top:: i = i + 1 if i < 3 then goto top end --@\ni = 1\n"},
    {"a goto loop over several lines", 3, "local i = 0\n::top::\ni = i + 1 --@\nif i < 3 then goto top end\n"},
    {"nested one-line loops", 4, "local x = 0\nfor i = 1, 2 do for j = 1, 2 do x = x + 1 end end --@\nx = 1\n"},
    {"nested one-line loops with calls", 4,
     "local x = 0\nfor i = 1, 2 do for j = 1, 2 do x = x + twice(j) end end --@\nx = 1\n"},
    {"two one-line loops", 5, "for i = 1, 3 do id(i) end for i = 1, 3 do twice(i) end --@\n"},

    {"a one-line numeric loop with a call", 3, "for i = 1, 3 do id(i) end --@\n"},
    {"a one-line numeric loop with calls of calls", 3, "for i = 1, 3 do twice(id(i)) id(i) end --@\n"},
    {"a one-line loop that calls a C function", 3, "for i = 1, 3 do math.abs(i) end --@\n"},
    {"a one-line loop that calls a function with a one-line loop", 3, "for i = 1, 3 do loops() end --@\n"},
    {"a one-line while loop with a call as its condition", 4, "local f = countdown(3)\nwhile f() do end --@\nf = 1\n"},
    {"a one-line while loop with calls in condition and body", 4,
     "local f = countdown(3)\nwhile f() do id(1) end --@\nf = 1\n"},
    {"a one-line repeat loop with a call as its condition", 4,
     "local f = countdown(3)\nrepeat until not f() --@\nf = 1\n"},
    {"a one-line loop with iterator and calls in Lua", 4, "for k in range(3) do twice(k) end --@\n"},
    {"a one-line goto loop with a call", 3,
     "local i = 0\n::top:: i = id(i) + 1 if id(i) < 3 then goto top end --@\ni = 1\n"},
    {"a one-line loop with a call that ends an if", 3, "for i = 1, 3 do if id(i) then id(i) end end --@\n"},

    {"table.sort with a comparison on the line", -1,
     "local n, t = 0, {3, 1, 2, 5, 4}\n"
     "table.sort(t, function(a, b) n = n + 1 return a < b end) --@\n"
     "return n + 1\n"},
    {"table.sort with a comparison elsewhere", 1,
     "local function less(a, b)\n  return a < b\nend\ntable.sort({3, 1, 2}, less) --@\n"},
    {"gsub with a function on the line", 4,
     "local n = 0\nlocal s = ('abc'):gsub('.', function(c) n = n + 1 end) --@\n"},
    {"gsub with a function elsewhere", 1, "local s = ('abc'):gsub('.', id) --@\n"},
    {"a one-line loop with gsub and a function on the line", 8,
     "local n = 0\nfor i = 1, 2 do local s = ('abc'):gsub('.', function(c) n = n + 1 end) end --@\n"},
    {"a one-line loop with gsub and a function elsewhere", 3,
     "for i = 1, 3 do local s = ('abc'):gsub('.', id) end --@\n"},
    {"a one-line loop with table.sort and a comparison on the line", -1,
     "local n = 0\n"
     "for i = 1, 3 do table.sort({3, 1, 2, 4}, function(a, b) n = n + 1 return a < b end) end --@\n"
     "return n + 3\n"},
    {"a one-line loop with table.sort and a comparison elsewhere", 3,
     "local function less(a, b)\n  return a < b\nend\nfor i = 1, 3 do table.sort({3, 1, 2}, less) end --@\n"},
    {"a callback with a one-line loop on the line", 10,
     "local x = 0\nlocal s = ('abc'):gsub('.', function() for i = 1, 3 do x = x + i end end) --@\n"},

    {"an __add on the line", 1, "local a = obj(1)\nlocal b = a + a --@\n"},
    {"a one-line loop with __add", 3, "local a = obj(1)\nfor i = 1, 3 do local b = a + a end --@\n"},
    {"an __index function on the line", 1, "local a = obj(1)\nlocal b = a.x, a.y --@\n"},
    {"a one-line loop with __index and __newindex", 3, "local a = obj(1)\nfor i = 1, 3 do a[i] = a.x end --@\n"},
    {"comparisons with metamethods", 1, "local a, b = obj(1), obj(2)\nlocal c = a == b or a < b or b <= a --@\n"},
    {"a one-line loop with comparisons", 3,
     "local a, b = obj(1), obj(2)\nfor i = 1, 3 do local c = a == b or a < b or b <= a end --@\n"},
    {"a __concat, __call, __unm and __tostring", 1,
     "local a = obj(1)\nlocal c = {a .. a, a(1), -a, tostring(a)} --@\n"},
    {"a one-line loop with __concat, __call, __unm and __tostring", 3,
     "local a = obj(1)\nfor i = 1, 3 do local c = {a .. a, a(1), -a, tostring(a)} end --@\n"},
    {"a metamethod on the line itself", 3,
     "local t\nt = setmetatable({}, {__index = function(t, k) return k end}) local y = {t.a, t.b} --@\n"},

    {"pcall of a function that raises elsewhere", 1, "local ok = pcall(raise) --@\n"},
    {"pcall of error itself", 1, "local ok = pcall(error, 'x') --@\n"},
    {"pcall of a function on the line that raises", 2, "local ok = pcall(function() error('x') end) --@\n"},
    {"xpcall with a handler", 1, "local ok = xpcall(raise, id) --@\n"},
    {"xpcall with a traceback", 1, "local ok = xpcall(raise, debug.traceback) --@\n"},
    {"a one-line loop with a pcall that raises", 3, "for i = 1, 3 do pcall(raise) end --@\n"},
    {"a one-line loop with a pcall of error", 3, "for i = 1, 3 do pcall(error, 'x') end --@\n"},
    {"a one-line loop with an xpcall", 3, "for i = 1, 3 do xpcall(raise, id) end --@\n"},
    {"an error on the line", 3, "local function f()\n  error('x') --@\nend\nfor i = 1, 3 do\n  pcall(f)\nend\n"},
    {"an error below the line", 3, "local function f()\n  raise() --@\nend\nfor i = 1, 3 do\n  pcall(f)\nend\n"},
    {"an error out of a one-line loop", 6,
     "local function f()\n  for i = 1, 3 do if i == 2 then raise() end end --@\nend\n"
     "for i = 1, 3 do\n  pcall(f)\nend\n"},
    {"an error out of recursion on the line", 12,
     "local function f(n)\n"
     "  if n == 0 then raise() else f(n - 1) end --@\n"
     "end\n"
     "for i = 1, 3 do\n  pcall(f, 3)\nend\n"},

    {"a yield on the line", 3,
     "local co = coroutine.wrap(function()\n"
     "  for i = 1, 3 do\n"
     "    coroutine.yield(i) --@\n"
     "  end\n"
     "end)\n"
     "for i = 1, 4 do\n  co()\nend\n"},
    {"a one-line loop that yields", 3,
     "local co = coroutine.wrap(function()\n"
     "  for i = 1, 3 do coroutine.yield(i) end --@\n"
     "end)\n"
     "for i = 1, 4 do\n  co()\nend\n"},
    {"a one-line loop of yields, resumed by a one-line loop", 3,
     "local co = coroutine.wrap(function()\n"
     "  for i = 1, 3 do coroutine.yield(i) end --@\n"
     "end)\n"
     "for i = 1, 4 do co() end\n"},
    {"a one-line loop that resumes", 4, "local co = yields(3)\nfor i = 1, 4 do co() end --@\n"},
    {"a resume on the line", 3, "local co = yields(3)\nfor i = 1, 3 do\n  local x = co() --@\nend\n"},
    {"a coroutine made and run on the line", 7,
     "local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) for i = 1, 4 do co() end --@\n"},
    {"a coroutine as a one-line loop's iterator", 4, "for i in yields(3) do id(i) end --@\n"},
    {"a yield across pcall", 3,
     "local co = coroutine.wrap(function()\n"
     "  for i = 1, 3 do\n"
     "    pcall(coroutine.yield, i) --@\n"
     "  end\n"
     "end)\n"
     "for i = 1, 4 do\n  co()\nend\n"},
    {"a coroutine that dies of an error on the line", 3,
     "for i = 1, 3 do\n"
     "  local co = coroutine.create(function()\n"
     "    raise() --@\n"
     "  end)\n"
     "  coroutine.resume(co)\n"
     "end\n"},
    {"coroutines that stay suspended on the line", 5,
     "keep = {}\n"
     "for i = 1, 5 do\n"
     "  local co = coroutine.create(function()\n"
     "    coroutine.yield() --@\n"
     "  end)\n"
     "  coroutine.resume(co)\n"
     "  keep[i] = co\n"
     "end\n"
     "for i = 1, 5 do\n  coroutine.resume(keep[i])\nend\n"},

    {"a vararg function's line", 2, "local function f(...)\n  local a, b = ... --@\n  return a\nend\nf(1, 2)\nf()\n"},
    {"a vararg function with a call", 2,
     "local function f(...)\n  local a = select('#', ...) + twice(...) --@\n  return a\nend\nf(1, 2)\nf(1, 2, 3, 4)\n"},
    {"a whole vararg function on the line", 4,
     "local function f(n, ...) if n > 0 then return id(...), f(n - 1, ...) end end --@\nf(2, 1, 2, 3)\n"},
    {"a vararg tail call", 4,
     "local function f(n, ...)\n"
     "  return n > 0 and f(n - 1, n, ...) or n --@\n"
     "end\n"
     "f(3)\n"},
    {"a vararg one-line loop", 3,
     "local function f(...)\n  for i = 1, select('#', ...) do id(...) end --@\nend\nf(1, 2, 3)\n"},

    {"a chunk loaded and run on the line", 3, "for i = 1, 3 do\n  loadstring('return ...')(i) --@\nend\n"},
    {"a closure made in a one-line loop, called later", 6,
     "local t = {}\nfor i = 1, 3 do t[i] = function() return i end end --@\nfor i = 1, 3 do\n  t[i]()\nend\n"},
    {"a garbage collection on the line", 1, "local x = collectgarbage() --@\n"},
    {"a one-line loop that makes garbage", 100, "local x\nfor i = 1, 100 do x = {i, tostring(i)} end --@\n"},
};

enum { HIT_CASES = sizeof hit_cases / sizeof hit_cases[0] };

#endif
