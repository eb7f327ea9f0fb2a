-- the program's own profiler, coverage hook and instruction counter while traps stand everywhere (counts not compared)
-- torture: uncounted no-lua (compiled pairs() loops of filters hang in LuaJIT when a profiler callback runs them)
local ok, profile = pcall(require, "jit.profile")
local samples = 0
if ok then
  profile.start("li1", function(th, n, state)
    samples = samples + n
    profile.dumpstack(th, "l f;", 5)
  end)
end
local function work(n)
  local t, s = {}, 0
  for i = 1, n do
    t[#t + 1] = tostring(i) .. ":" .. i % 7
    if #t > 50 then
      table.sort(t)
      s = s + #table.concat(t)
      t = {}
    end
  end
  return s
end
local t0, r = os.clock(), nil
while os.clock() - t0 < 0.4 do
  r = work(2000)
end
if ok then profile.stop() end
print(r, not ok or samples > 0)
-- coverage, as luacov does it; compiled code calls no hooks, and without a profiler there still is some
pcall(jit.flush)
local seen = {}
debug.sethook(function(_, line)
  local src = debug.getinfo(2, "S").short_src
  seen[line] = (seen[line] or 0) + 1
end, "l")
work(60)
debug.sethook()
local lines = {}
for l in pairs(seen) do lines[#lines + 1] = l end
table.sort(lines)
print(table.concat(lines, " "), seen[13])
-- an instruction limit, as sandboxes do it
local function limited(f, n)
  local co = coroutine.create(f)
  debug.sethook(co, function() error("limit", 2) end, "", n)
  local ok, e = coroutine.resume(co)
  debug.sethook(co)
  return ok, e
end
print((limited(function() while true do work(1) end end, 10000)))
