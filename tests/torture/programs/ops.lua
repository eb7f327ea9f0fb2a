-- every opcode at the start of a line
local t, u, x, y, z
t = {}
t = { 1, 2, 3 }
t = { a = 1 }
x = 1
x = 1.5
x = "str"
x = true
x, y, z = nil
x = 70000
x = -1
y = 3
x = y
x = not y
x = -y
x = #t
x = y + 1
x = y - 1
x = y * 2
x = y / 2
x = y % 2
x = 1 + y
x = 1 - y
x = 2 * y
x = 2 / y
x = 2 % y
x = y + y
x = y - y
x = y * y
x = y / y
x = y % y
x = y ^ y
x = y .. y
gx = y
x = gx
t[1] = y
t.x = y
t[y] = y
x = t[1]
x = t.x
x = t[y]
u = function() return x end
local function up(v)
  x = v
  x = "s"
  x = 1.5
  x = nil
  return x
end
up(1)
print(x)
x = 5
if x < y then print("<") end
if x <= y then print("<=") end
if x > y then print(">") end
if x >= y then print(">=") end
if x == y then print("==") end
if x ~= y then print("~=") end
if x == "a" then print("a") end
if x ~= "a" then print("not a") end
if x == 5 then print("5") end
if x ~= 5 then print("not 5") end
if x == nil then print("nil") end
if x ~= nil then print("not nil") end
if x then print("x") end
if not x then print("not x") end
x = x or y
x = x and y
local function va(...)
  local a = ...
  local b = { ... }
  return ...
end
print(va(1, 2))
print((va(1, 2)))
local function r0()
  return
end
local function r1(a)
  return a
end
local function r2(a)
  return a, a
end
local function rm(...)
  return 1, ...
end
local function ct(a)
  return r1(a)
end
local function cmt(...)
  return r2(...)
end
r0()
print(r1(1), r2(2))
print(rm(1, 2), ct(3), cmt(4))
for i = 1, 2 do
  x = i
end
for k, v in pairs({ 1, 2 }) do
  x = k
end
for k, v in ipairs({ 1, 2 }) do
  x = k
end
while x < 5 do
  x = x + 1
end
repeat
  x = x - 1
until x < 1
do
  local q = 1
  local function cl() return q end
  x = cl()
end
local ffi = require("ffi")
x = 5LL
y = x + 1
x = y * 2LL
print(tostring(x), x == 12LL, x ~= 12LL, x < 13LL, x <= 12LL, tostring(-x), x == 12)
if x == 12LL then print("cd eq") end
if x ~= 12LL then print("cd ne") end
if x == "a" then print("cd a") end
if x == 12 then print("cd n") end
if x == nil then print("cd nil") end
if x ~= nil then print("cd not nil") end
local p = ffi.new("int[4]", 1, 2, 3, 4)
p[2] = p[1] + p[3]
print(p[2])
ffi.cdef [[ typedef struct { int a; double b; } trap_test_t; ]]
local MT = { __add = function(a, b)
  return a.a + b.a
end, __eq = function(a, b) return a.a == b.a end, __lt = function(a, b)
  return a.a < b.a end, __le = function(a, b) return a.a <= b.a end,
  __concat = function(a, b) return "cat" end, __len = function(a) return a.a end, __unm = function(a) return -a.a end,
  __index = { get = function(self) return self.b end }, __call = function(self, k) return self.a + k end }
trap_test_t = trap_test_t or ffi.metatype("trap_test_t", MT) -- only once
local T = trap_test_t
local a, b = T(1, 2), T(3, 4)
print(a + b, a == b, a < b, a <= b, a .. b, #a, -a, a:get(), a(5))
if a == b then print("eq") end
if a ~= b then print("ne") end
if a < b then print("lt") end
x = a
  + b
print(x)
