-- JSON, MessagePack and table writers: there and back
require "steady"
local show = require "show"
local dkjson, cjson, messagepack, inspect = require "dkjson", require "cjson", require "MessagePack", require "inspect"
local json = require "json"

local seed = 7
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end
local words = { "alpha", "beta", 'quo"te', "new\nline", "\\back", "tab\t", "uni\195\169", "", "/slash" }
local function value(depth)
  local kind = random(depth > 0 and 8 or 5)
  if kind == 1 then return random(100000) end
  if kind == 2 then return random(1000) / 8 end
  if kind == 3 then return words[random(#words)] end
  if kind == 4 then return random(2) == 1 end
  if kind == 5 then return -random(50) end
  local t = {}
  if kind == 6 then
    for i = 1, random(6) do t[i] = value(depth - 1) end
  else
    for i = 1, random(6) do t[words[random(#words)] .. i] = value(depth - 1) end
  end
  return t
end
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local total = {}
for i = 1, 25 do
  local v = { v = value(4), n = i }
  local text = dkjson.encode(v, { indent = i % 2 == 0, keyorder = { "n" } })
  total[#total + 1] = text
  local back = assert(dkjson.decode(text))
  assert(same(back, v), text)
  assert(same(cjson.decode(text), v))
  assert(same(json.decode(text), v))
  assert(same(json.decode(json.encode(v)), v))
  assert(same(dkjson.decode(cjson.encode(v)), v))
  assert(same(messagepack.unpack(messagepack.pack(v)), v))
  total[#total + 1] = inspect(v)
end
print(show.digest(table.concat(total)))
print(inspect((dkjson.decode '{"a": [1, 2, {"b": null}], "c": 1e3, "d": "\\u00e9"}')))
print((select(2, dkjson.decode "[1, 2")), (select(3, dkjson.decode '{"a" 1}')), (select(3, dkjson.decode "nul")))
print((pcall(json.decode, "[1, }")))
print(json.encode { 1, 2, { a = "x" }, json.util.null })
print(pcall(cjson.decode, "{"))
local use = dkjson.use_lpeg and dkjson.use_lpeg()
if use then print(same(use.decode '{"a":[1,2,3]}', { a = { 1, 2, 3 } })) end
