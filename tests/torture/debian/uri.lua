-- lua-uri's own tests, with the lunit that comes with them
require "steady"
local show = require "show"
local root = os.getenv "TORTURE_DEBIAN" .. "/usr/share/doc/lua-uri-dev/examples/"
package.path = root .. "?.lua;" .. package.path
local lunit = require "lunit"
for _, name in ipairs {
  "_generic", "_pristine", "_relative", "_resolve", "_util", "data", "file", "ftp", "http", "pop", "rtsp", "telnet", "urn-isbn",
  "urn-issn", "urn-oid", "urn",
} do dofile(root .. "test/" .. name .. ".lua") end
local function wrong(name, ...)
  print("wrong", name)
  for i = 1, select("#", ...) do print((show.nameless(tostring((select(i, ...)))):gsub(root, "", 1))) end
end
lunit.setrunner { fail = wrong, err = wrong }
-- In an order that does not depend on where the strings are, as it does in lunit.run().
local function sorted(...)
  local list = {}
  for name in ... do list[#list + 1] = name end
  table.sort(list)
  return list
end
lunit.clearstats()
for _, case in ipairs(sorted(lunit.testcases())) do
  local passed = lunit.stats.passed
  local tests = sorted(lunit.tests(case))
  for _, test in ipairs(tests) do lunit.runtest(case, test) end
  print(case, #tests, lunit.stats.passed - passed)
end
