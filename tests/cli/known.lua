-- A program whose every possible stack is known: known.txt lists them, outermost first. Functions call themselves,
-- each other, through metamethods, pcall, C functions, coroutines and varargs; each has branches and loops.
local function leaf(n)
    local s = 0
    for i = 1, n do
        if i % 3 == 0 then
            s = s + i
        else
            s = s - 1
        end
    end
    return s
end

local function down(n)
    if n == 0 then
        local r = leaf(3)
        return r
    end
    local r = down(n - 1)
    return r
end

local mt = {}
mt.__index = function(_, k)
    local v = leaf(k)
    return v
end
mt.__add = function(a, b)
    local v = down(2)
    return v
end
local object = setmetatable({}, mt)

local function meta()
    local x = object[4]
    local y = object + 1
    return x + y
end

local function many(...)
    local a, b = ...
    local r = leaf(a + b)
    return r
end

local function throws(n)
    if n > 2 then
        error("known")
    end
    return n
end

local function protected()
    local ok = pcall(throws, 3)
    local ok2, v = pcall(many, 1, 2)
    return v
end

local function comparing(a, b)
    return a < b
end

local function sorting()
    local t = {3, 1, 2}
    table.sort(t, comparing)
    return t
end

local function body(n)
    while true do
        local r = leaf(n)
        n = coroutine.yield(r)
    end
end
local resumed = coroutine.wrap(body)
local created = coroutine.create(body)

local function resuming()
    local a = resumed(2)
    local ok, b = coroutine.resume(created, 3)
    return a + b
end

local function strings(n)
    local s = "a"
    for i = 1, 4 do
        s = s .. i
    end
    return (s:gsub("%d", "x"))
end

local function run()
    local n = 0
    repeat
        down(3)
        meta()
        many(2, 3)
        protected()
        sorting()
        resuming()
        strings(n)
        n = n + 1
    until n == 0
end
run()
