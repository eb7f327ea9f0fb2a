-- metamethods of all kinds, through every operator
local V = {}
V.__index = V
local function new(x) return setmetatable({ x = x }, V) end
local function val(a)
  if type(a) == "table" then return a.x end
  return tonumber(a)
end
V.__add = function(a, b) return new(val(a) + val(b)) end
V.__sub = function(a, b) return new(val(a) - val(b)) end
V.__mul = function(a, b)
  return new(val(a) * val(b))
end
V.__div = function(a, b) return new(val(a) / val(b)) end
V.__mod = function(a, b) return new(val(a) % val(b)) end
V.__pow = function(a, b) return new(val(a) ^ val(b)) end
V.__unm = function(a) return new(-val(a)) end
V.__concat = function(a, b) return tostring(val(a)) .. "|" .. tostring(val(b)) end
V.__eq = function(a, b) return val(a) == val(b) end
V.__lt = function(a, b)
  return val(a) < val(b)
end
V.__le = function(a, b) return val(a) <= val(b) end
V.__len = function(a) return val(a) end
V.__call = function(self, y, ...)
  return self.x + y, ...
end
V.__tostring = function(a) return "V(" .. a.x .. ")" end
local a, b, c = new(3), new(4), new(3)
print(tostring(a + b), tostring(a - b), tostring(a * b))
print(tostring(a / b), tostring(a % b), tostring(a ^ b), tostring(-a))
print(tostring(a + 1), tostring(1 + a), tostring(a - 1), tostring(1 - a))
print(tostring(a * 2), tostring(2 * a), tostring(a / 2), tostring(2 / a))
print(tostring(a % 2), tostring(2 % a), tostring(a ^ 2), tostring(2 ^ a))
print(a .. b, a .. "s", "s" .. a, 1 .. a)
print("x" .. "y" .. a .. "z" .. b)
print(a == b, a == c, a ~= b, a ~= c)
print(a < b, a <= b, a > b, a >= b)
if a < b then print("lt") end
if not (a < b) then print("not lt") end
if a <= c then print("le") end
if a > b then print("gt") else print("not gt") end
if a >= c then
  print("ge")
end
if a == c then print("eq") end
if a ~= b then print("ne") end
while b > a do
  b = b - 1
end
print(tostring(b))
print(a(10))
print(a(10,
  20))
print(pcall(a, 1))
local function tailmeta(x) return a(x) end
print(tailmeta(5))
-- numbers in strings
print("10" + 5, "3" * "4", 10 - "2", "7" % 4, 2 ^ "3", -"5", "8" / 2)
-- strings compare
local s1, s2 = "abc", "abd"
print(s1 < s2, s1 <= s2, s1 > s2, s1 >= s2, s1 == s2)
for i = 1, 30 do
  if s1 < s2 then s1 = s1 .. "x" end
end
print(#s1)
-- index chains
local log = {}
local proxy = setmetatable({}, {
  __index = function(t, k)
    log[#log + 1] = "get " .. tostring(k)
    return k
  end,
  __newindex = function(t, k, v)
    log[#log + 1] = "set " .. tostring(k)
    rawset(t, k, v)
  end
})
proxy.a = 1
proxy[1] = 2
local key = "kk"
proxy[key] = proxy[key]
print(proxy.a, proxy[1], proxy.zz, proxy[77], proxy[key])
print(table.concat(log, ","))
-- globals through a metatable
setmetatable(_G, { __index = function(_, k) return "G" .. k end, __newindex = function(t, k, v) rawset(t, k, v) end })
undefined_one = undefined_two
print(undefined_one, undefined_three)
for i = 1, 20 do
  local g = undefined_four
  defined_by_loop = g
end
setmetatable(_G, nil)
-- errors with metamethods and without
print(pcall(function() return {} + 1 end))
print(pcall(function() return {} < {} end))
print(pcall(function() return {} < 1 end))
print(pcall(function() local x = nil return x.y end))
print(pcall(function() return #nil end))
print((pcall(function() return {} .. "x" end)))
print(select(2, pcall(error, { 1 })) ~= nil)
local ok = pcall(function()
  local x = {}
  x = x
    + 1
end)
print(ok)
-- __index on strings
print(("x"):rep(3), #("abc"):upper())
-- inheritance
local Base = {} Base.__index = Base
function Base.create(n) return setmetatable({ n = n }, Base) end
function Base:get() return self.n end
local Derived = setmetatable({}, { __index = Base }) Derived.__index = Derived
function Derived.create(n)
  local o = Base.create(n)
  return setmetatable(o, Derived)
end
function Derived:twice() return self:get() * 2 end
local total = 0
for i = 1, 200 do
  total = total + Derived.create(i):twice()
end
print(total)
