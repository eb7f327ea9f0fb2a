-- LuaJIT's own modules in Lua: disassemblers of all processors, bytecode listings and dumps
local show = require "show"
local bytes = show.read((package.searchpath("lpeg", package.cpath)))
for _, name in ipairs { "x86", "x64", "arm", "arm64", "arm64be", "ppc", "mips", "mipsel", "mips64", "mips64el" } do
  local lines, n = {}, 0
  local ok, e = pcall(require("jit.dis_" .. name).disass, bytes:sub(0x2001, 0x2001 + 6000), 0x1000, function(s)
    n = n + 1
    lines[n] = s
  end)
  print(name, ok, n, show.digest(table.concat(lines)))
end
local bcsave = require "jit.bcsave"
local out = os.tmpname()
for _, module in ipairs { "jit.bc", "jit.dis_x86", "pl.List", "dkjson" } do
  bcsave.start("-n", module, "-t", "c", "-g", show.where(module), out)
  print(module, #show.read(out) > 1000)
  bcsave.start("-n", module, "-t", "raw", show.where(module), out)
  print(module, #show.read(out), type(loadfile(out))) -- the order of fields in constant tables differs
end
for _, kind in ipairs { "obj", "h" } do
  bcsave.start("-n", "m", "-t", kind, "-a", "x64", "-o", "linux", show.where "jit.bc", out)
  print(kind, #show.read(out) > 1000)
end
os.remove(out)
