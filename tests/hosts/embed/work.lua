-- What the embedding programs run: the argument decides what comes out.
local number = ...

local function add(sum, i)
    local next = sum + i * number
    return next                     -- line 6: hooked by the tests
end

local function work(n)
    local sum = 0
    for i = 1, n do sum = add(sum, i) end
    return sum
end

return ("vm %d: %d"):format(number, work(200))
