-- the program's own debug hooks: they must see what they see without traps
-- torture: uncounted
jit.off()
local function work(a, b)
  local t = {}
  for i = 1, 5 do
    t[i] = a + b + i
  end
  local s = 0
  for k, v in pairs(t) do
    s = s + v
  end
  local function inner(...)
    return ...
  end
  print(inner(
    1,
    inner(2, 3)
  ))
  if s > 10 then
    return s
  end
  return inner(s)
end
local function none()
end
local function none2()
  return
end
local function two(x)
  return x,
    x + 1
end
local events
local function hook(event, line)
  events[#events + 1] = event .. (line or "")
end
local function run(mask, count)
  events = {}
  debug.sethook(hook, mask, count)
  work(1, 2)
  none() none2()
  print(two(3))
  pcall(error, "x")
  coroutine.wrap(function()
    none()
    coroutine.yield(1)
  end)()
  debug.sethook()
  print(mask, count, #events)
  print(table.concat(events, " "))
end
run("c") run("r") run("l") run("", 3) run("cr") run("crl") run("rl") run("l", 2) run("crl", 5) run("r", 1)
-- a hook written in C functions only
debug.sethook(print, "r")
none()
debug.sethook()
-- hooks that raise errors
for i = 1, 50 do
  local left = i
  debug.sethook(function() left = left - 1 if left <= 0 then debug.sethook() error("timeout " .. i, 0) end end, "", 7)
  print(pcall(function()
    local x = 0
    while true do
      x = x + 1
    end
  end))
end
for _, m in ipairs { "l", "r", "c" } do
  local n = 12 -- the first may be pcall itself
  debug.sethook(function() n = n - 1 if n == 0 then debug.sethook() error("stop " .. m, 0) end end, m)
  print(pcall(function()
    for i = 1, 10 do
      two(i)
      none()
    end
  end))
  debug.sethook()
end
