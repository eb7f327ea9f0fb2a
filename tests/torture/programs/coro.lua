-- coroutines, pcall, xpcall, error paths
local function gen(n)
  return coroutine.wrap(function()
    for i = 1, n do
      coroutine.yield(i)
    end
    return "end"
  end)
end
local g = gen(5)
for i = 1, 6 do print(g()) end
local co = coroutine.create(function(a, b)
  local c = coroutine.yield(a + b)
  local d, e = coroutine.yield(c * 2)
  return d + e
end)
print(coroutine.resume(co, 1, 2))
print(coroutine.resume(co, 10))
print(coroutine.resume(co, 3, 4))
print(coroutine.resume(co))
print(coroutine.status(co))
local function producer()
  return coroutine.create(function()
    for _, v in ipairs { "a", "b", "c" } do
      coroutine.yield(v)
    end
  end)
end
local function filter(p)
  return coroutine.create(function()
    local n = 1
    while true do
      local ok, v = coroutine.resume(p)
      if not v then return end
      coroutine.yield(n .. ":" .. v)
      n = n + 1
    end
  end)
end
local f = filter(producer())
while true do
  local ok, v = coroutine.resume(f)
  if not v then break end
  print(v)
end
local function thrower(n)
  if n == 0 then
    error("bottom", 0)
  end
  thrower(n - 1)
  return n
end
for i = 0, 5 do
  print(pcall(thrower, i))
end
print(xpcall(function()
  return thrower(3)
end, function(m)
  return "handled " .. m
end))
local cow = coroutine.wrap(function()
  local ok, e = pcall(function()
    coroutine.yield(1)
    error({ code = 7 })
  end)
  coroutine.yield(e.code)
  error("out", 0)
end)
print(cow(), cow())
print(pcall(cow))
-- yield across pcall, metamethods, iterators
local mt = { __add = function(a, b)
  coroutine.yield("in add")
  return 42
end, __index = function(t, k)
  coroutine.yield("in index")
  return k
end, __lt = function()
  coroutine.yield("in lt")
  return true
end, __eq = function() coroutine.yield("in eq") return true end,
  __concat = function() coroutine.yield("in concat") return "cc" end,
  __call = function(self, x)
    coroutine.yield("in call")
    return x
  end,
  __unm = function() coroutine.yield("unm") return 1 end }
local o, o2 = setmetatable({}, mt), setmetatable({}, mt)
local w = coroutine.wrap(function()
  local r = o + 1
  r = r + o.foo:len()
  if o < o2 then r = r + 1 end
  if o == o2 then r = r + 1 end
  local s = o .. "x"
  local q = -o
  return r, s, o(9), q
end)
for i = 1, 8 do print(w()) end
local iter = coroutine.wrap(function()
  for k in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do
    coroutine.yield(k)
  end
end)
print(iter(), iter(), iter())
-- deep recursion and stack growth
local function deep(n)
  if n == 0 then return 0 end
  local a, b, c, d, e = n, n, n, n, n
  return 1 + deep(n - 1)
end
print(deep(3000))
local cs = {}
for i = 1, 50 do
  cs[i] = coroutine.wrap(function() return deep(i * 10) end)
end
local s = 0
for i = 50, 1, -1 do s = s + cs[i]() end
print(s)
print(select("#", pcall(unpack, {}, 1, 200)))
-- errors at many depths with hooks on each line
local cnt = 0
for i = 1, 300 do
  local ok = pcall(function()
    cnt = cnt + 1
    if i % 3 == 0 then error("x") end
    if i % 7 == 0 then
      local n = nil
      n()
    end
  end)
  if not ok then cnt = cnt + 1000 end
end
print(cnt)
