-- What each generated program begins with (generate.lua): functions that make any value one of a kind, so that most of what
-- the program does works, and functions that print what does not differ from run to run.
local ok, ffi = pcall(require, "ffi")
if not ok then ffi = nil end
local bit = require "bit"
local left
-- LuaJIT does not find some names on a hooked line (README.md).
local function nameless(s)
  return (s:gsub("(attempt to [%a ]-) %a+ '[^'\n]*' %(a (%a+) value%)", "%1 a %2 value"):gsub("argument (#%d+) to '[^']*'", "argument %1")
    :gsub("in function [^\n]*", "in function"):gsub("0x%x+", "ADDRESS"):gsub("%[[bC][^%]]*%]: at ADDRESS", "[C]: in function"))
end
-- What a processor makes of the signs of zero and of what is no number is left out.
local function shown(v)
  if type(v) == "number" then return v ~= v and "nan" or v == 0 and "0" or ("%.10g"):format(v) end
  if type(v) == "string" then return nameless(v) end
  if type(v) == "boolean" or v == nil then return tostring(v) end
  return type(v)
end
local function T() left = left - 1 if left < 0 then error("spent", 0) end end
local function N(v) -- a number
  if type(v) == "number" then return (v ~= 0 and v < 1e12 and v > -1e12) and v or 0 end
  if type(v) == "string" then return #v end
  if type(v) == "cdata" then return tonumber(v) % 1000 end
  return v and 1 or 0
end
local function W(v) return math.floor(N(v)) % 65536 end
local function S(v) -- a short string
  local s = type(v) == "string" and v or type(v) == "number" and shown(v) or type(v)
  return #s > 40 and s:sub(-20) or s
end
local class = {}
class.__index = function(t, k) if k == "m" then return class.m end return class[k] end
class.__newindex = function(t, k, v) if k == k then rawset(t, k, v) end end
class.__add = function(a, b) return N(type(a) == "table" and a.x) + N(type(b) == "table" and b.x or b) end
class.__unm = function(a) return -N(a.x) end
class.__concat = function(a, b) return S(type(a) == "table" and a.x or a) .. S(type(b) == "table" and b.x or b) end
class.__lt = function(a, b) return N(a.x) < N(b.x) end
class.__le = function(a, b) return N(a.x) <= N(b.x) end
class.__eq = function(a, b) return N(a.x) == N(b.x) end
class.__call = function(self, a, b) T() return N(a) + N(self.x), b end
function class:m(a, ...) T() return N(self.x) + N(a), ... end
local function O(x) return setmetatable({ x = N(x), y = 1 }, class) end
local function A(v) -- a table
  if type(v) == "table" then return v end
  return { N(v), x = N(v) }
end
local G = O(5)
local box = ffi and ffi.new("int32_t[4]", 1, 2, 3, 4)
-- Structures with metamethods, and functions of Lua that C calls back; what calls into C for that is not to be compiled.
local pair, by_c
if ffi then
  ffi.cdef "void qsort(void *, size_t, size_t, int (*)(const int32_t *, const int32_t *));"
  local made
  made = ffi.metatype(ffi.typeof "struct { int a; double b; }", {
    __index = function(p, k) if k == "m" then return class.m end return 0 end,
    __add = function(p, q) return made(p.a + q.a, p.b + q.b) end,
    __len = function(p) return p.a end,
  })
  function pair(a, b) return made(W(a), N(b)) end
  function by_c(f, n)
    local list = ffi.new("int32_t[3]", W(n), 7, 2)
    local back = ffi.cast("int (*)(const int32_t *, const int32_t *)", function(a, b)
      local ok, r = pcall(f, a[0], b[0]) -- no error may leave it
      return ok and W(r) < 32768 and W(r) or -1
    end)
    ffi.C.qsort(list, 3, 4, back)
    back:free()
    return list[0] + list[1] * 2 + list[2] * 3
  end
  jit.off(by_c)
end
-- No byte beyond its end: behind LuaJIT's empty string lies its hook mask, which the oracle's debug hooks change.
local function bytes(s, n) return ffi and ffi.string(s, math.min(#s, n, 2)) end
local function words(s)
  local t = {}
  for word in s:gmatch "%a+" do table.insert(t, 1, word) end
  return S(table.concat(t, "."))
end
local function id(...) return ... end
local function Q() end
local lines = 0
local function P(...)
  lines = lines + 1
  if lines > 3000 then return end
  local t = {}
  for i = 1, select("#", ...) do t[i] = shown((select(i, ...))) end
  print(table.concat(t, " "))
end
-- An error that ends the run is not to be caught.
local function E(ok, ...)
  if not ok and ... == "spent" then error("spent", 0) end
  return ok, ...
end
local function handler(m) return type(m) == "string" and m or type(m) end
local function sorted(t)
  local keys = {}
  for k in pairs(t) do if type(k) == "number" then keys[#keys + 1] = k end end
  table.sort(keys)
  local i = 0
  return function() i = i + 1 if keys[i] ~= nil then return keys[i], t[keys[i]] end end
end
local function walk(n)
  return coroutine.wrap(function() for i = 1, N(n) % 5 do coroutine.yield(i, i * 2) end end)
end
local function wrapped(f)
  local co = coroutine.create(f)
  return function(...)
    local t = { coroutine.resume(co, ...) }
    if not t[1] then error(t[2], 0) end
    return unpack(t, 2, 4)
  end
end
local function Y(...) if coroutine.running() then return coroutine.yield(...) end end
local function F(a, b) return N(a) + N(b) end
local function R(f, round, spend)
  left = spend
  P(round, pcall(f, round, "r", G))
end
