-- the test programs of Lua 5.1
local show = require "show"
math.mod = math.fmod -- one is older than Lua 5.1
local root = os.getenv "TORTURE_DEBIAN" .. "/usr/share/doc/lua5.1-doc/test/"
local date = os.date
os.date = function(f) return date(f, 86400) end
os.clock = function() return 0 end
local function run(name, ...)
  print("== " .. name)
  show.script(root .. name .. ".lua", ...)
end
run "bisect"
run "cf"
run("echo", "a", "b")
run "factorial"
run("fib", "16")
run "fibfor"
run "hello"
run "printf"
run "sieve"
run "sort"
print(pcall(run, "readonly"))
-- a game of life that ends
do
  local text = show.read(root .. "life.lua"):gsub("while 1 do", "for _ = 1, 60 do", 1):gsub("if gen>2000", "if gen>25")
  assert(load(text, "@life.lua"))()
end
