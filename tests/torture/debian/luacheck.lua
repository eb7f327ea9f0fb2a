-- luacheck over its own sources and those of others
require "steady"
local luacheck, format = require "luacheck", require "luacheck.format"
local show = require "show"
local modules = { "luacheck.format", "pl.class", "inspect" }
if os.getenv "TORTURE_LONG" then
  for _, name in ipairs { "luacheck.lexer", "luacheck.filter", "pl.List", "dkjson", "luacheck.parser", "luacheck.check", "luacheck.options", "luacheck.stages.linearize",
    "luacheck.stages.resolve_locals", "pl.pretty", "pl.xml", "pl.tablex", "argparse", "moses", "luaunit" } do
    modules[#modules + 1] = name
  end
end
for _, name in ipairs(modules) do
  local report = luacheck.check_strings { show.read(show.where(name)) }
  print(name, #report[1], report.warnings, report.errors, report.fatals)
  for i, w in ipairs(report[1]) do
    if i <= 5 then print(w.line, w.column, w.code, luacheck.get_message(w)) end
  end
end
local report = luacheck.check_strings({ "local a = 1\nx = y\nfor i = 1, 2 do local i = 3 end", "return (", "" }, { std = "min" })
print(format.format(report, { "one", "two", "three" }, { formatter = "plain", color = false, quiet = 0, limit = 0, codes = true }))
