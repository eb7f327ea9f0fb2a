-- cdata under every operator, and its literals
-- torture: ffi
local ffi = require("ffi")
local x, y
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
