-- closures, upvalues, varargs, tail calls
local function counter(start)
  local n = start
  return function(step)
    n = n + (step or 1)
    return n
  end,
  function() return n end
end
local inc, get = counter(5)
inc() inc(3)
print(inc(), get())

local function sum(...)
  local s = 0
  for i = 1, select("#", ...) do
    s = s + (select(i, ...))
  end
  return s, ...
end
print(sum(1, 2, 3))
print((sum()))
print(sum(
  1,
  sum(2,
    sum(3))
))

local function pass(...) return ... end
local function tail(n, ...)
  if n == 0 then
    return pass(...)
  end
  return tail(n - 1, n, ...)
end
print(tail(20))
print(
  pass(
    1, 2,
    pass(3, 4)
  ),
  pass()
)
local t = {
  pass(1, 2, 3)
}
print(#t, t[1],
  t[3])
local u = { sum(4, 5),
  x = 1,
  sum(6, 7)
}
print(#u, u.x)

local fs = {}
for i = 1, 5 do
  local j = i * 2
  fs[i] = function()
    j = j + 1
    return i, j
  end
end
for i = 1, 5 do
  print(fs[i]())
end
while true do
  local x = #fs
  local f = function() return x end
  if f() > 3 then
    break
  end
end
do
  local function multi(a)
    local c = function() return a end
    return pass(c(), c())
  end
  print(multi(3))
  local function multi2(a)
    local c = function() return a end
    return c(),
      pass(a,
        c())
  end
  print(multi2(4))
  local function multi3(a)
    local c = function() return a end
    return 1,
      pass(c())
  end
  print(multi3(4))
end
local function many(n)
  local r = {}
  for i = 1, n do r[i] = i end
  return unpack(r)
end
print(select("#", many(200)))
print(select("#",
  many(200)
))
local big = {
  many(150)
}
print(#big)
local function va2(...)
  local a, b = ...
  local t = {
    ...
  }
  return a, b, #t,
    ...
end
print(va2(1, 2, 3))
print(va2())
print(pcall(va2, nil, nil, 3))
-- recursion with state in upvalues
local depth, deepest = 0, 0
local function walk(tree)
  depth = depth + 1
  if depth > deepest then deepest = depth end
  for _, sub in ipairs(tree) do walk(sub) end
  depth = depth - 1
end
walk({ {}, { {}, { {} } } })
print(deepest)
