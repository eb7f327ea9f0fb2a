-- A program whose files, functions, variables and values are named so as to be obeyed by the terminal that shows them. It
-- prints a line and spins, or waits with an argument.
local clean = dofile(arg[1])
local H, ID = clean.hostile, clean.identifier
local source = ([[local %s, value, other, waits = ...
local function go(a, %sb)
    local %sc = value
    local n = 0
    while not waits or io.read() do
        n = n + 1
        if n %% 1e6 == 0 then collectgarbage "step" end
    end
    return a, %sc
end
local methods = { [value] = function(self, ...) local kept = { go(...) } return kept end }
return methods]]):format(ID, ID, ID, ID)
big = { [H] = { (H):rep(5000), [H] = { [H] = ("x"):rep(1e6) } } }
local other = assert(loadstring("return 1", "=" .. H))
local methods = assert(loadstring(source, "@" .. H .. ".lua"))(H, H, other, arg[2] ~= nil)
local failing = assert(loadstring("local t = ... for i = 1, 200 do t[i] = function() return i end end", "@" .. H))
for i = 1, 100 do failing {} end
print "."
io.flush()
return 1, (methods[H](methods, H, other))
