-- names in messages may be missing on hooked lines, but are never wrong; compared by hand (no counts)
-- torture: uncounted other-output
local function try(f) print((select(2, pcall(f)))) end
local a = { b = {} }
try(function()
  a.b.c()
end)
try(function()
  nofunction()
end)
try(function()
  local x = a.b
  a.zz.y = 1
end)
try(function()
  a:nomethod(1)
end)
try(function()
  up.x = 1
end)
try(function()
  print(1)
  nofunction(2)
end)
local function tb()
  print(debug.traceback("x"):match("^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*"))
end
local function named()
  tb()
  return 1
end
named()
print(
  named(),
  named()
)
