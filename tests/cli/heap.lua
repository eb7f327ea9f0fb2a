-- A program that knows its heap. For each line that it reads it makes what the line says, and then says how many bytes
-- LuaJIT counts.
local ffi = require "ffi"
local first = ffi.new "int[8]"

local function quiet()
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    io.write(("%d\n.\n"):format(collectgarbage "count" * 1024))
    io.flush()
end

local function closure(value) return function() return value end end

local keep = {}
local make = {}
function make.nothing() end

-- Exactly: 1000 tables, 500 functions with an upvalue each, 200 threads, 300 userdata, 400 strings, 100 cdata.
function make.objects()
    local all = {}
    keep.objects = all
    for i = 1, 999 do all[#all + 1] = {} end
    for i = 1, 500 do all[#all + 1] = closure(i) end
    for i = 1, 200 do all[#all + 1] = coroutine.create(quiet) end
    for i = 1, 300 do all[#all + 1] = newproxy() end
    for i = 1, 400 do all[#all + 1] = "a string that is new, " .. i end
    for i = 1, 100 do all[#all + 1] = ffi.new "int[8]" end
end

local function sized(n)
    local t = {}
    for i = 1, n do t[i] = i end
    return t
end

-- Tables of known sizes, each held in one way.
function make.ways()
    a = {b = {c = {}}}
    a.b.c.biggest = sized(64000)
    local cache = sized(32000)
    function handler() return cache[1] end
    local co = coroutine.create(function()
        local buffer = sized(16000)
        coroutine.yield()
        return buffer
    end)
    coroutine.resume(co)
    keep.workers = {{co}}
    setmetatable(keep, {__index = sized(8000)})
    package.loaded["my module"] = {["odd key"] = sized(4000)}
    weak = setmetatable({sized(100000), "held"}, {__mode = "v"})
    registered = newproxy(true)
    getmetatable(registered).__index = sized(1000)
    text = {long = ("long"):rep(100000)}
    local list
    for i = 1, 1000 do list = {next = list} end
    local last = list
    while last.next do last = last.next end
    last.deep = sized(2000)
    chain = list
end

for line in io.lines() do
    make[line]()
    quiet()
end
