-- string work: gsub with functions, sort, format, buffers
local words = {}
local text = [[the quick brown fox jumps over the lazy dog and then the dog sleeps while the fox runs]]
for w in text:gmatch("%a+") do
  words[#words + 1] = w
end
local count = {}
for _, w in ipairs(words) do
  count[w] = (count[w] or 0) + 1
end
local keys = {}
for k in pairs(count) do keys[#keys + 1] = k end
table.sort(keys)
table.sort(keys, function(a, b)
  if count[a] ~= count[b] then
    return count[a] > count[b]
  end
  return a < b
end)
for _, k in ipairs(keys) do print(k, count[k]) end
print((text:gsub("%a+", function(w)
  if #w > 3 then
    return w:upper()
  end
end)))
local function json(v, indent)
  local t = type(v)
  if t == "table" then
    local out = {}
    if #v > 0 then
      for i, x in ipairs(v) do out[i] = json(x) end
      return "[" .. table.concat(out, ",") .. "]"
    end
    local ks = {}
    for k in pairs(v) do ks[#ks + 1] = k end
    table.sort(ks)
    for i, k in ipairs(ks) do
      out[i] = string.format("%q:%s", k, json(v[k]))
    end
    return "{" .. table.concat(out, ",") .. "}"
  elseif t == "string" then
    return string.format("%q", v)
  end
  return tostring(v)
end
print(json({ a = 1, b = { 1, 2, { c = "x" } }, d = "y" }))
local function parse(s)
  local pos = 1
  local function ws() pos = s:find("%S", pos) or #s + 1 end
  local value
  local function list(close, item)
    local r = {}
    pos = pos + 1
    ws()
    while s:sub(pos, pos) ~= close do
      item(r)
      ws()
      if s:sub(pos, pos) == "," then
        pos = pos + 1
        ws()
      end
    end
    pos = pos + 1
    return r
  end
  function value()
    ws()
    local c = s:sub(pos, pos)
    if c == "[" then
      return list("]", function(r) r[#r + 1] = value() end)
    elseif c == "{" then
      return list("}", function(r)
        local k = value()
        ws()
        pos = pos + 1
        r[k] = value()
      end)
    elseif c == '"' then
      local e = s:find('"', pos + 1, true)
      local v = s:sub(pos + 1, e - 1)
      pos = e + 1
      return v
    else
      local b, e = s:find("^-?%d+", pos)
      pos = e + 1
      return tonumber(s:sub(b, e))
    end
  end
  return value()
end
print(json(parse('{"x":[1,2,{"y":"z"}],"k":-5}')))
local acc = ""
for i = 1, 300 do
  acc = acc .. string.char(97 + i % 26)
  if #acc > 50 then acc = acc:sub(20) end
end
print(acc)
local parts = {}
for i = 1, 500 do parts[i] = ("%d-%s"):format(i, ("x"):rep(i % 5)) end
print(#table.concat(parts, "/"))
local function lev(a, b)
  local d = {}
  for i = 0, #a do d[i] = { [0] = i } end
  for j = 0, #b do d[0][j] = j end
  for i = 1, #a do
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      d[i][j] = math.min(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost)
    end
  end
  return d[#a][#b]
end
print(lev("kitten sitting on the mat", "sitting kitten at the mat"))
