-- the utilities of the XMPP server Prosody
require "steady"
local show = require "show"
package.loaded["util.table"] = { create = function() return {} end, pack = function(...) return { n = select("#", ...), ... } end,
  move = function(a, f, e, t, b) b = b or a for i = 0, e - f do b[t + i] = a[f + i] end return b end }
package.loaded["util.time"] = { now = function() return 1000 end, monotonic = function() return 5 end }
package.loaded["util.encodings"] = { base64 = { encode = function(s) return s end, decode = function(s) return s end },
  stringprep = setmetatable({}, { __index = function() return function(s) return s:lower() end end }), idna = { to_ascii = function(s) return s end },
  utf8 = { valid = function() return true end } }
package.loaded["util.hashes"] = setmetatable({}, { __index = function(_, k) return function(a, b) return show.digest(k .. a .. tostring(b)) end end })
package.loaded["util.net"] = { pton = function(s) return s end, ntop = function(s) return s end }
package.loaded["util.strbitop"] = { sxor = function(a) return a end }
package.loaded["util.struct"] = { pack = function() return "" end, unpack = function() end }

local st, jid, xml = require "util.stanza", require "util.jid", nil
local array, set, it = require "util.array", require "util.set", require "util.iterators"
local json, pointer, schema = require "util.json", require "util.jsonpointer", require "util.jsonschema"
local serialization, cache, queue = require "util.serialization", require "util.cache", require "util.queue"
local events, filters, promise = require "util.events", require "util.filters", require "util.promise"
local datetime, format, hex = require "util.datetime", require "util.format", require "util.hex"
local interpolation, template, multitable = require "util.interpolation", require "util.template", require "util.multitable"
local heap, throttle, errors = require "util.indexedbheap", require "util.throttle", require "util.error"
local argparse, dbuffer, envload = require "util.argparse", require "util.dbuffer", require "util.envload"

for i = 1, 60 do
  local s = st.message({ to = "a@b/c" .. i, type = "chat" }, "hello <&> " .. i):tag("x", { xmlns = "jabber:x" }):text "t":up()
  s:maptags(function(tag) if tag.name ~= "y" then return tag end end)
  local copy = st.deserialize(st.preserialize(st.clone(s)))
  assert(tostring(copy) == tostring(s) and s:get_child("x", "jabber:x") and s:get_child_text "body")
  if i % 20 == 0 then print(s, st.reply(s), st.error_reply(s, "cancel", "item-not-found", "no")) end
end
for _, j in ipairs { "user@host/res", "host", "@host", "u@h@x/y", "a b@c" } do print(j, jid.split(j)) end
print(jid.bare "u@h/r", jid.compare("u@h/r", "u@h"), jid.escape "a b@c", jid.unescape "a\\20b")
local a = array { 5, 3, 9, 1, 5 }
print(a:map(function(x) return x * 2 end), a:filter(function(x) return x > 4 end), array.reverse(a), a:unique(), (a + { 7 }):sort())
print(array.collect(it.filter(function(x) return x % 3 == 0 end, it.range(1, 40))), it.count(pairs { a = 1, b = 2 }))
print(set.union(set.new { 1, 2, 3 }, set.new { 3, 4 }), set.intersection(set.new { 1, 2 }, set.new { 2, 3 }), set.xor(set.new { 1, 2 }, set.new { 2, 3 }))
local doc = { a = { 1, 2, { b = "x\n\"q\"" } }, c = true, d = 1.5, e = json.null }
for i = 1, 40 do
  local text = json.encode(doc)
  assert(json.decode(text).a[3].b == doc.a[3].b)
  assert(type(envload.envload("return " .. serialization.serialize(doc, "compact"), "=s", {})) == "function")
end
print(json.encode_ordered and json.encode_ordered(doc) or json.encode(doc), json.decode "[1,2", json.decode '{"a":}')
print(pointer.resolve(doc, "/a/2/b"), pointer.resolve(doc, "/a/0"), pointer.resolve(doc, "/zz"))
local sch = { type = "object", required = { "n" }, properties = { n = { type = "integer", minimum = 1 }, s = { type = "string", maxLength = 3 }, l = { type = "array", items = { type = "number" } } } }
print(schema.validate(sch, { n = 2, s = "abc", l = { 1, 2.5 } }), schema.validate(sch, { n = 0 }), schema.validate(sch, { n = 1, s = "abcd" }), schema.validate(sch, { s = "" }))
print(serialization.serialize({ 1, { 2, x = "y" }, z = false }, { preset = "oneline" }))
local c, evicted = cache.new(10, function(k) return k ~= 3 end), 0
for i = 1, 200 do if not c:set(i % 23, i) then evicted = evicted + 1 end c:get(i % 7) end
print(c:count(), evicted, c:head(), c:tail())
local q = queue.new(20, true)
for i = 1, 100 do q:push(i) if i % 3 == 0 then q:pop() end end
print(q:count(), q:peek(), #array.collect(q:consume()))
local ev, log = events.new(), {}
for i = 1, 5 do ev.add_handler("e", function(x) log[#log + 1] = i .. x if i == 3 and x == "9" then return "stop" end end, i) end
ev.add_wrapper("e", function(h, name, data) log[#log + 1] = "w" return h(name, data) end)
for i = 1, 30 do ev.fire_event("e", tostring(i % 10)) end
print(#log, show.digest(table.concat(log)), ev.fire_event("e", "9"))
local p, resolved = {}, {}
for i = 1, 20 do p[i] = promise.new(function(res, rej) if i % 5 == 0 then rej("no" .. i) else res(i) end end) end
for i = 1, 20 do p[i]:next(function(v) resolved[#resolved + 1] = v return v * 2 end):next(function(v) if v > 30 then error "big" end return v end):catch(function(e) resolved[#resolved + 1] = type(e) end) end
promise.all { p[1], p[2] }:next(function(t) resolved[#resolved + 1] = t[1] + t[2] end)
promise.race { p[3], p[5] }:next(function(v) resolved[#resolved + 1] = "race" .. v end)
print(table.concat(resolved, " "))
print(datetime.datetime(86400), datetime.parse "2010-02-03T04:05:06Z", datetime.date(0), datetime.time(3600))
print(format.format("%s %d %q %5.2f %s", "a", 7, "q\n", 3.14159, nil), format.format("%%", 1), hex.to "abc", hex.from "616263")
local render = interpolation.new("%b{}", function(s) return (tostring(s):gsub("[<>&]", "_")) end, { up = string.upper })
for i = 1, 40 do render("Hi {name|up} {list#<{item}>}{missing?{default}}{x&yes}", { name = "jo", list = { "a", "b" }, x = i }) end
print(render("Hi {name|up} {list#<{item}>}{missing?none}{x&yes}", { name = "<jo>", list = { "a", "b" }, x = 1 }))
local mt = multitable.new()
for i = 1, 60 do mt:set(i % 3, i % 4, i % 5, i) end
print(mt:get(1, 2, 3), #mt:search(nil, 2, nil), mt:remove(1, 2, 3) == nil)
local h, sum = heap.create(), 0
for i = 1, 80 do h:insert(i, i * 7919 % 101) end
for i = 1, 80 do local _, item = h:pop() sum = (sum * 3 + item) % 1000003 end
print(sum, h:pop())
local t = throttle.create(10, 2)
local ok = 0
for i = 1, 20 do if t:poll(1) then ok = ok + 1 end end
print(ok, errors.new("x", { a = 1 }, { x = { type = "cancel", condition = "gone", text = "t" } }).condition)
print(argparse.parse { "--foo=bar", "-v", "rest", "--", "x" })
local b = dbuffer.new(100)
for i = 1, 30 do b:write("chunk" .. i) if i % 2 == 0 then b:read(6) end end
print(b:length(), b:read(10), b:sub(2, 9))
