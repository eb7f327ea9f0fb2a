-- For the drivers.
local show = {}
function show.digest(s)
  local h = 5381
  for i = 1, #s do h = (h * 33 + s:byte(i)) % 4294967296 end
  return ("%d bytes %08x"):format(#s, h)
end
function show.read(file)
  local f = assert(io.open(file, "rb"))
  local s = f:read "*a"
  f:close()
  return s
end
-- Messages of LuaJIT's may lack the name of the variable on a hooked line: no message has it then.
function show.nameless(s)
  return (s:gsub("(attempt to [%a ]-) %a+ '[^'\n]*' %(a (%a+) value%)", "%1 a %2 value"))
end
-- Runs a script that may end itself.
function show.script(file, ...)
  local exit, done = os.exit, {}
  os.exit = function(code) error(done) end
  local args = { [0] = file, ... }
  local was = arg
  arg = args
  local ok, e = pcall(assert(loadfile(file)), ...)
  os.exit, arg = exit, was
  if not ok and e ~= done then error(e, 0) end
end
function show.where(module)
  return assert(package.searchpath(module, package.path))
end
-- Addresses differ from run to run.
local select, tostring, write = select, tostring, io.write
function print(...)
  local n = select("#", ...)
  for i = 1, n do write((tostring((select(i, ...))):gsub("0x%x+", "ADDRESS")), i < n and "\t" or "\n") end
  if n == 0 then write "\n" end
end
return show
