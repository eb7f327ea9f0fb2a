-- what LuaRocks is made of: versions, queries, rockspecs, persistence, sha1 of luacheck
require "steady"
local show = require "show"
local vers, fun = require "luarocks.core.vers", require "luarocks.fun"
local util, persist = require "luarocks.core.util", require "luarocks.core.persist"
for _, p in ipairs { { "1.0", "1.0.1" }, { "2.0-1", "2.0-2" }, { "scm", "5.0" }, { "1.0alpha", "1.0" }, { "1.0rc1", "1.0beta2" } } do
  local a, b = vers.parse_version(p[1]), vers.parse_version(p[2])
  print(p[1], p[2], a < b, a == b, a <= b, vers.compare_versions(p[1], p[2]))
end
for i = 1, 80 do vers.parse_version(i .. "." .. i % 7 .. ".rc" .. i .. "-" .. i) end
assert(require "luarocks.core.cfg".init())
local queries = require "luarocks.queries"
for _, s in ipairs { "lua >= 5.1, < 5.4", "penlight ~> 1.3", "x == 1.0-1", "bad >>> 1", "name" } do
  local q, e = queries.from_dep_string(s)
  if q then
    print(s, q.name, #q.constraints, tostring(q))
    print(vers.match_constraints(vers.parse_version "5.2", q.constraints), vers.match_constraints(vers.parse_version "1.3.4", q.constraints))
  else
    print(s, e)
  end
end
print(show.digest(persist.save_from_table_to_string and persist.save_from_table_to_string { a = 1, b = { "x", "y" }, c = { d = true } } or ""))
print(table.concat(fun.map({ 1, 2, 3 }, function(x) return x * x end), ","), #fun.concat({ 1 }, { 2, 3 }), fun.contains({ 1, 2 }, 2))
print(fun.reverse_in({ 1, 2, 3 })[1], #fun.filter({ 1, 2, 3, 4 }, function(x) return x % 2 == 0 end), fun.traverse({ 1, { 2 } }, tostring)[1])
local t = { x = { y = 1 } }
util.deep_merge(t, { x = { z = 2 }, w = 3 })
print(t.x.y, t.x.z, t.w, util.keys(t)[1], #util.cleanup_path("a:b:a", ":", "5.1", true))
local sha1 = require "luacheck.vendor.sha1"
print(sha1.sha1 "abc", sha1.hmac("key", "The quick brown fox jumps over the lazy dog"), sha1.sha1(("x"):rep(2000)))
