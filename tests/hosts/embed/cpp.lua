-- Calls C++ that throws; line 4 is hooked by the tests.
local caught = 0
for _, name in ipairs {"a", "b", "c"} do
    local ok, message = pcall(thrower, name)
    if not ok then caught = caught + 1 end
    last = message
end
return caught .. " caught"
