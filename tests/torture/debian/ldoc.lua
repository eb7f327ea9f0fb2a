-- ldoc documents Penlight and itself
require "steady"
local show = require "show"
local out = os.tmpname()
os.remove(out)
local date = os.date
os.date = function(f, t) return date(f, t or 86400) end
-- It copies a style sheet that it thinks is newer, from a folder that all its processes of a user share.
local path = require "pl.path"
path.getmtime = function() return 0 end
path.expanduser = function() return out end
local root = os.getenv "TORTURE_DEBIAN" .. "/usr/share/lua/5.1/"
local inputs = os.getenv "TORTURE_LONG" and { "pl", "ldoc" } or { "pl/List.lua", "pl/stringx.lua", "ldoc/parse.lua" }
for i, input in ipairs(inputs) do
  show.script(os.getenv "TORTURE_DEBIAN" .. "/usr/bin/ldoc", "-q", "-d", out, "-p", "project", "-t", "title",
    i == 1 and "-a" or "-X", root .. input)
  local names = {}
  for name in io.popen("cd " .. out .. " && find . -type f | sort"):lines() do names[#names + 1] = name end
  for _, name in ipairs(names) do
    local text = show.read(out .. "/" .. name):gsub("<i style=.-</i>", "")
    print(name, show.digest(text))
  end
end
os.execute("rm -rf " .. out .. " /tmp/ldoc" .. out:gsub("/", "_"))
