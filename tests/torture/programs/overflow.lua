-- stack overflow: hits where no stack is left for a filter are not counted (counts are not compared)
-- torture: uncounted no-gc no-lua trap-only (filters at every depth take minutes)
local depth = 0
local function overflow()
  depth = depth + 1
  return 1 + overflow()
end
print((pcall(overflow)), depth > 1000)
local t = setmetatable({}, {})
getmetatable(t).__index = function(_, k)
  return t[k + 1]
end
print((pcall(function()
  return t[1]
end)))
print((pcall(string.rep, "x", -1)))
local function many(n, ...)
  if n == 0 then return select("#", ...) end
  return many(n - 1, n, ...)
end
print(many(200))
print((pcall(many, 10000)))
local co = coroutine.wrap(function() return pcall(overflow) end)
print((co()))
print((xpcall(overflow, function(m)
  return 1
end)))
