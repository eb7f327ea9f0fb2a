-- loops of all shapes, on one line and on many
local n = 0
for i = 1, 10 do n = n + i end
for i = 1, 0 do n = n + i end
for i = 10, 1, -2 do n = n + i end
for i = 1, 3 do for j = 1, 3 do n = n + i * j end end
for i = 1, 3 do
  for j = 1, 3 do n = n + i * j end
end
print(n)
while n > 100 do n = n - 10 end
while n > 50 do
  n = n - 10
end
repeat n = n + 1 until n > 60
repeat
  local k = n
  n = n + 1
until k > 70
print(n)
local t = { 1, 2, 3, a = 1 }
for k, v in pairs(t) do n = n + v end
for k, v in pairs(t) do
  n = n + v
end
for k, v in next, t do n = n + v end
for k, v in next, t do
  n = n + v
end
for i, v in ipairs(t) do n = n + v end
for i, v in ipairs(t) do
  n = n + v
end
print(n)
local function range(a, b)
  return function(_, c)
    if c < b then return c + 1 end
  end, nil, a - 1
end
for i in range(1, 5) do n = n + i end
for i in range(1, 5) do
  n = n + i
end
for i in
  range(1, 3)
do
  n = n + i
end
print(n)
-- next under another name, pairs that is no pairs: ISNEXT and ITERN despecialize
local function each(t) return next, t end
for r = 1, 3 do
  for k, v in each({ 5, 6 }) do
    n = n + v
  end
end
local function weird(t, k)
  if not k then return 1, 2 end
end
local its = { next, weird, next }
for r = 1, 3 do
  local next = its[r]
  for k, v in next, { 7 } do
    n = n + v
  end
  for k, v in next, { 8 } do n = n + v end
end
local pairs = function(t) return weird, t end
for k, v in pairs({}) do
  n = n + v
end
for k, v in pairs({}) do n = n + v end
print(n)
local mt = { __pairs = 1 }
-- goto
do
  local i = 1
  ::top::
  if i <= 5 then
    n = n + i
    i = i + 1
    goto top
  end
end
do local i = 1 ::a:: if i < 5 then i = i + 1 goto a end n = n + i end
for i = 1, 5 do
  for j = 1, 5 do
    if j == 3 then goto next_i end
    n = n + j
  end
  ::next_i::
end
print(n)
-- break, nested
for i = 1, 10 do
  if i == 5 then break end
  while true do
    n = n + 1
    if n % 4 == 0 then break end
  end
end
print(n)
-- conditions over several lines
local a, b, c = 1, nil, false
local x = a
  and b
  or c
  or 5
print(x)
if a
  and not b
  and (c
    or x == 5)
then
  n = n + 1
elseif b then
  n = n - 1
else
  n = n * 2
end
print(n)
local y = (a and 1) or 2 local z = b or c or a
print(y, z, not a, a == nil, b == nil, a ~= nil, c == false, a == 1, a ~= 1, "s" == x, x ~= "s", x == true)
-- calls over several lines
local function f(...) return ... end
local function g(p, q) return (p or 0) + (q or 0) end
n = g(
  f(1),
  f(2)
)
n = n + g(f(3), f(4)) + g(f(5),
  f(6))
print(n, g(
  f(
    7
  )
), f(
  8,
  9))
local s = ("x")
  :rep(3)
  :upper()
print(s)
for i = 1, 3 do f() f() f(f()) end
repeat f() until f() == nil
for i = 1, 3 do repeat local q = i f(q) until q end
while f(false) or n < 30 do n = n + f(1) end
print(n)
local i = 0 while i < 5 do i = i + 1 if i == 2 then f() end end
local k = 0 repeat k = k + 1 if k == 2 then goto cont end f(k) ::cont:: until k > 4
for i = 1, 3 do local t = {} for j = 1, 3 do t[j] = function() return i + j end end for j = 1, 3 do n = n + t[j]() end end
print(n)
