-- pairs() and next() in an order that depends on the keys alone. LuaJIT's order depends on which strings were made
-- before, so that programs whose output shows it differ from run to run as soon as anything else is loaded.
local type, tostring, sort, rawnext, getmetatable = type, tostring, table.sort, next, getmetatable
local rank = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (rank[ta] or 4) < (rank[tb] or 4) end
  if ta == "boolean" then return tostring(a) < tostring(b) end
  return rank[ta] and a < b or false
end

local function iterate(t)
  local keys, n = {}, 0
  for k in rawnext, t do
    n = n + 1
    keys[n] = k
  end
  if n > 1 then sort(keys, before) end
  local i = 0
  return function()
    while i < n do
      i = i + 1
      local k = keys[i]
      local v = t[k]
      if v ~= nil then return k, v end
    end
  end, t, nil
end

function pairs(t)
  if type(t) ~= "table" then error("bad argument #1 to 'pairs' (table expected, got " .. type(t) .. ")", 2) end
  local mt = getmetatable(t)
  local own = type(mt) == "table" and rawget(mt, "__pairs")
  if own then return own(t) end
  return iterate(t)
end

-- The comparison is called once for each pair, so that it does not show how often it was in which order they came.
local rawsort = sort
function table.sort(t, less)
  local n = #t
  if n > 400 or not less then return rawsort(t, less) end
  local rank, order = {}, {}
  for i = 1, n do rank[i] = 1 end
  for i = 1, n do
    for j = i + 1, n do
      local k = less(t[i], t[j]) and j or i
      rank[k] = rank[k] + 1
    end
  end
  for i = 1, n do order[rank[i]] = t[i] end
  if #order ~= n then return rawsort(t, less) end -- not an order
  for i = 1, n do t[i] = order[i] end
end

-- What a cache in a weak table still has depends on when the collector ran.
local rawsetmetatable = setmetatable
function setmetatable(t, mt)
  if type(mt) == "table" and rawget(mt, "__mode") then mt.__mode = nil end
  return rawsetmetatable(t, mt)
end
