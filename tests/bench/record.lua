-- About three seconds of work, interpreted and compiled.
local function compiled(n)
    local s = 0
    for i = 1, n do s = s + i % 7 end
    return s
end
local function interpreted(n)
    local t = {}
    for i = 1, n do t[#t + 1] = tostring(i) .. "x" end
    return #table.concat(t)
end
jit.off(interpreted)
for _ = 1, 80 do
    compiled(4e6)
    interpreted(4e4)
end
