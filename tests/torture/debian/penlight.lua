-- Penlight: most of its modules, and its own examples
require "steady"
local show = require "show"
local List, Map, OrderedMap, Set, MultiMap = require "pl.List", require "pl.Map", require "pl.OrderedMap", require "pl.Set",
  require "pl.MultiMap"
local tablex, stringx, pretty, seq = require "pl.tablex", require "pl.stringx", require "pl.pretty", require "pl.seq"
local lexer, sip, template, text = require "pl.lexer", require "pl.sip", require "pl.template", require "pl.text"
local data, array2d, permute, func = require "pl.data", require "pl.array2d", require "pl.permute", require "pl.func"
local class, config, lapp, xml = require "pl.class", require "pl.config", require "pl.lapp", require "pl.xml"
local stringio, url, path, types = require "pl.stringio", require "pl.url", require "pl.path", require "pl.types"
local comprehension, utils, input = require "pl.comprehension".new(), require "pl.utils", require "pl.input"

local l = List { 10, 20, 30, 5 }
print(l, l:sorted(), l:reverse(), l:slice(2, 3), l:map "_*2", l:filter(function(x) return x > 8 end), l:reduce "+")
print(List.range(1, 20):chop(2, 5), List.split("a b c d"):join "-", l:index(20), l:contains(7))
print(tostring(Set { 1, 2, 3 } * Set { 2, 3, 4 }), Set.len(Set { 1, 2 } + Set { 5 }))
local m = OrderedMap()
m:set("z", 1) m:set("a", 2) m:insert(1, "q", 0)
print(m, table.concat(m:keys(), ","))
for k, v in m:iter() do io.write(k, "=", v, " ") end
print()
local mm = MultiMap()
mm:set("a", 1) mm:set("a", 2)
print(pretty.write(mm, ""))
print(pretty.write(tablex.merge({ a = 1, b = 2 }, { b = 3, c = 4 }, true), ""))
print(tablex.deepcompare({ 1, { 2, x = { 3 } } }, { 1, { 2, x = { 3 } } }), tablex.find({ 5, 6, 7 }, 6))
print(pretty.write(tablex.deepcopy { 1, { 2, "x" }, y = { z = 1 } }))
print(List(tablex.imap(func._1 + func._2 * 2, { 1, 2, 3 }, 10)), pretty.write(tablex.zip({ 1, 2 }, { 3, 4 }), ""))
print(stringx.split("a,b,,c", ","), stringx.strip "  x ", stringx.center("ab", 10, "*"), stringx.title "hello big world")
print(stringx.partition("key=value", "="), stringx.expandtabs("a\tb", 4), stringx.count("aXbXc", "X"))
print(text.wrap(("the quick brown fox jumps over the lazy dog "):rep(4), 30))
print(text.dedent "   one\n   two\n     three\n")
for _, file in ipairs { "pl.lexer", "pl.List", "pl.pretty" } do
  local kinds = {}
  for kind, value in lexer.lua(show.read(show.where(file))) do kinds[#kinds + 1] = kind .. value end
  print(#kinds, show.digest(table.concat(kinds, " ")))
end
local res = {}
print(sip.match("$v{name} = $f{value}", "height = 12.5", res), res.name, res.value)
print(sip.match("$i-$i-$i", "2024-05-06", res), res[1], res[2], res[3])
print(template.substitute([[
# for i = 1, 3 do
  <li>$(i) $(names[i]:upper())</li>
# end
]], { names = { "a", "b", "c" }, ipairs = ipairs }))
local d = data.read(stringio.open "name,size,cost\njohn,2,3.5\nmary,7,1.25\nbob,1,9\n")
print(d:column_by_name "size", type(d:select_row "name where size > 1"))
for a, b in d:select "name,cost where cost > 2 sort by name" do io.write(tostring(a), " ", tostring(b), ";") end
print()
local a2 = array2d.new(4, 5, function(i, j) return i * j end)
print(pretty.write(array2d.reduce_rows("+", a2), ""), pretty.write(array2d.column(a2, 3), ""))
print(pretty.write(array2d.map("*", array2d.slice(a2, 2, 2, 3, 3), 2), ""))
local n = 0
for p in permute.order_iter { 1, 2, 3, 4, 5 } do n = n + p[1] * p[5] end
print(n, #permute.order_table { 1, 2, 3, 4 })
class.Animal()
function Animal:_init(name) self.name = name end
function Animal:speak() return "..." end
class.Dog(Animal)
function Dog:speak() return self.name .. ": woof " .. Animal.speak(self) end
local rex = Dog "rex"
print(rex:speak(), rex:is_a(Animal), Dog:class_of(rex))
print(pretty.write(config.read(stringio.open "# c\n[one]\na = 1,2,3\nb=text\n[two]\nx_y = 3.5\n")))
print(pretty.write(lapp.process_options_string and lapp([[
Test
  -v,--verbose       be chatty
  -n,--number (default 5)  a number
  <file> (string)
]], { "-v", "-n", "7", "name" }) or "", ""))
local doc = xml.parse "<people a='1'><person id='x'>Jo &amp; co</person><person id='y'><b/>text</person></people>"
print(xml.tostring(doc, "", "  "))
print(pretty.write(doc:match "<people><person id='x'>$name</person></people>" or {}, ""))
print(pretty.write(comprehension "x^2 for x=1,10 if x % 2 == 1" (), ""), List(comprehension "{x,y} for x=1,2 for y=1,2" ()):len())
print(seq(seq.range(1, 10)):map "_*3":filter(func._1 % 2):sum(), seq.copy(seq.take(seq.range(5, 50), 4)))
print(url.quote "a b/c?d=é", url.unquote "a%20b", path.normpath "/a/./b/../c//d", path.extension "x.tar.gz", path.join("a", "b"))
print(types.is_callable(print), types.to_bool "yes", utils.is_type(3, "number"), pcall(utils.assert_arg, 1, 2, "string"))
for a, b in input.fields({ 1, 3 }, ",", stringio.open "1,x,2\n3,y,4\n") do io.write(a + b, " ") end
print()
for _, name in ipairs { "test-cmp", "test-pretty", "testclone", "test-listcallbacks", "testconfig", "testxml" } do
  local file = os.getenv "TORTURE_DEBIAN" .. "/usr/share/doc/lua-penlight-dev/examples/" .. name .. ".lua"
  local lines, output = {}, print
  print = function(...)
    for i = 1, select("#", ...) do lines[#lines + 1] = tostring((select(i, ...))):gsub("0x%x+", "ADDRESS") end
  end
  local ok, e = pcall(dofile, file)
  print = output
  print(name, ok, ok or e:gsub("^.*/", ""), show.digest(table.concat(lines, "\n")))
end
