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
