local stop = ...
local function iterate(state, control)
    if control == 1 then return nil end
    stop(debug.traceback()) return 1
end
for i in iterate, {}, 0 do
    local x = i
end
