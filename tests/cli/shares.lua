-- Spends its processor time in known shares: 20 % in one, 50 % in two, 30 % in a coroutine, 10 of these in a function
-- that is inlined where it is called.
local clock = os.clock

local function spin()
    local s = 0
    for i = 1, 20000 do s = s + i % 7 end
    return s
end

local function one(seconds)
    local finish = clock() + seconds
    repeat
        local s = 0
        for i = 1, 20000 do s = s + i * 2 end
    until clock() >= finish
end

local function two(seconds)
    local finish = clock() + seconds
    repeat
        local s = {}
        for i = 1, 300 do s[i] = tostring(i) end
    until clock() >= finish
end

local function three(seconds)
    local finish = clock() + seconds
    repeat
        local s = 0
        for i = 1, 20000 do s = s + i * 3 end
    until clock() >= finish
end

local function four(seconds)
    local finish = clock() + seconds
    repeat local s = spin() until clock() >= finish
end

local co = coroutine.wrap(function()
    while true do
        three(0.02)
        four(0.01)
        coroutine.yield()
    end
end)

while true do
    one(0.02)
    two(0.05)
    co()
end
