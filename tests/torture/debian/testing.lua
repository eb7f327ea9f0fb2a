-- test frameworks and what they are made of: luaunit, luassert, busted, say, mediator, lemock
-- torture: no-gc
require "steady"
collectgarbage "stop" -- luaunit numbers tables by their addresses, which must not come twice
local show = require "show"
os.clock = function() return 0 end
os.date = function() return "a day" end
local root = os.getenv "TORTURE_DEBIAN" .. "/usr/share/doc/lua-unit/examples/"
for _, name in ipairs { "example_with_luaunit", "legacy_example_with_luaunit", "test_with_err_fail_pass", "test_luaunit" } do
  local lines, output = {}, print
  local function add(...)
    for i = 1, select("#", ...) do lines[#lines + 1] = show.nameless(tostring((select(i, ...)))) end
  end
  print = add
  local ok, e = pcall(show.script, root .. name .. ".lua", "-o", "TAP")
  print = output
  print(name, ok, ok or show.nameless(tostring(e):gsub("^.-:%d+: ", "")):sub(1, 60), show.digest(table.concat(lines, " "):gsub("0x%x+", "X"):gsub("%d%.%d+ s", "")))
end

local assert, say, mediator = require "luassert", require "say", require "mediator"
local spy, stub, mock, match = require "luassert.spy", require "luassert.stub", require "luassert.mock", require "luassert.match"
assert.are.same({ 1, { a = 2 } }, { 1, { a = 2 } })
assert.is_true(true)
assert.has_error(function() error "x" end, nil)
local s = spy.new(function(a, b) return a + b end)
for i = 1, 100 do s(i, 2) end
assert.spy(s).was.called(100)
assert.spy(s).was.called_with(7, 2)
assert.spy(s).was.called_with(match.is_number(), match._)
local t = { f = function(x) return x * 2 end, g = { h = function() return "h" end } }
local st = stub(t, "f")
st.returns(42)
print(t.f(1))
st:revert()
print(t.f(4))
local m = mock(t)
m.g.h()
assert.spy(m.g.h).was.called(1)
mock.revert(m)
for _, f in ipairs {
  function() assert.are.same({ 1, 2, { x = "y" } }, { 1, 2, { x = "z" } }) end,
  function() assert.are.equal(1, 2) end,
  function() assert.is_nil "x" end,
  function() assert.has_no.errors(function() error "boom" end) end,
  function() assert.near(1, 2, 0.5) end,
  function() assert.matches("%d+", "abc") end,
} do
  local ok, e = pcall(f)
  print(ok, (tostring(e):gsub("0x%x+", "X"):gsub("\n", "|")))
end
say:set_namespace "en"
say:set("greet", "hello %s, %s")
print(say("greet", { "a", "b" }), say "greet")
local bus, seen = mediator(), {}
for i = 1, 5 do
  bus:subscribe({ "car", "engine", i }, function(v) seen[#seen + 1] = i .. tostring(v) return nil, true end, { priority = 1 })
end
bus:subscribe({ "car" }, function(v) seen[#seen + 1] = "any" .. tostring(v) end)
for i = 1, 50 do bus:publish({ "car", "engine", i % 5 + 1 }, i) end
print(#seen, show.digest(table.concat(seen, ",")))
local lemock = require "lemock"
local mc = lemock.controller()
local mocked = mc:mock()
mocked:foo(1) ; mc:returns(2) :times(3)
mocked.x = 7 ; mc:atleastonce()
mc:replay()
print(mocked:foo(1), mocked:foo(1), mocked:foo(1))
mocked.x = 7
mc:verify()

local busted = require "busted.core"()
busted_init = busted_init or getmetatable(require "busted").__call -- it changes its metatable then
busted_init(require "busted", busted)
local events = {}
for _, event in ipairs { "suite", "file", "describe", "test" } do
  for _, what in ipairs { "start", "end" } do
    busted.subscribe({ event, what }, function(element, parent, status)
      events[#events + 1] = event .. what .. tostring(element.name) .. (type(status) == "string" and status or "")
      return nil, true
    end)
  end
end
local spec = function()
  describe("a", function()
    local n = 0
    before_each(function() n = n + 1 end)
    for i = 1, 20 do it("test " .. i, function() assert.is_true(i % 7 ~= 0) end) end
    describe("b", function() it("c", function() error "no" end) pending "later" end)
    after_each(function() n = n - 1 end)
  end)
end
-- busted's message handler fails. How often it is called then depends on the JIT compiler (README.md, "What LuaJIT leaves to
-- chance").
local compiling = jit.status()
jit.off()
busted.wrap(spec)
busted.executors.file("spec", spec)
local execute = require "busted.execute"(busted)
execute(1, { seed = 1, sort = false, shuffle = false })
if compiling then jit.on() end
print(#events, show.digest(table.concat(events, ",")))
