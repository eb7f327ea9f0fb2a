-- code that comes and goes
for i = 1, 60 do
  local f = assert(loadstring("local a = ... local t = {} for i = 1, 5 do t[i] = a + i end return #t + " .. i))
  if i % 20 == 0 then print(f(i)) end
end
local function make(n)
  return function(x)
    return x + n
  end
end
local s = 0
for i = 1, 200 do
  s = s + make(i)(i)
end
print(s)
local d = string.dump(make)
local back = loadstring(d)
print(type(back))
print(#string.dump(make, true) > 0, pcall(string.dump, print))
local env = { print = print }
local fn = setfenv(function() x = 5 return x end, env)
print(fn(), env.x, x)
collectgarbage()
local objs = 0
for i = 1, 100 do
  local p = newproxy(true)
  objs = objs + 1
end
print(objs)
print(debug.getinfo(1, "l").currentline)
local function lines()
  local a = debug.getinfo(1, "l").currentline
  local b = debug.getinfo(2, "l").currentline
  return a, b
end
print(lines())
print(lines(
  1, 2
))
print((debug.traceback("tb"):gsub("%[C%].*", "")))
pcall(jit.flush) -- an error where there is no compiler
for i = 1, 100 do s = s + i end
pcall(jit.off) for i = 1, 100 do s = s + i end pcall(jit.on)
print(s)
