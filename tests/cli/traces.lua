-- A program whose loops are compiled, given up, or have failed so far: it says what LuaJIT tells it of each trace, and of
-- each recording that was aborted.
local util = require "jit.util"
local aborts, start = {}, nil
jit.attach(function(what, _, func, pc, error)
    if what == "start" then
        start = not error and util.funcinfo(func, pc).currentline or nil
    elseif what == "abort" and start then
        aborts[start] = aborts[start] or {}
        table.insert(aborts[start], error)
    end
end, "trace")

local function off() return 1 end
jit.off(off)

local function sums(n)
    local s = 0
    for i = 1, n do
        if i % 3 == 0 then s = s + i else s = s - 1 end
    end
    return s
end

local function closes(n)
    local f
    for i = 1, n do f = function() return i end end
    return f
end

local function calls(n)
    local s = 0
    for i = 1, n do s = s + off() end
    return s
end

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local function few(n)
    local f
    for i = 1, n do f = function() return i end end
    return f
end

sums(1e5)
fib(20)
closes(1e6)
calls(1e6)
few(300)
if arg[1] == "vmdef" then require "jit.vmdef" end

jit.off() -- so that what follows makes no more
for number = 1, 1000 do
    local t = util.traceinfo(number)
    if t then print("trace", number, t.linktype, t.link, t.nins, t.nk, t.nexit) end
end
-- The reason of the one that led to giving up is not kept: the one before is.
local function kept(line, back) print("reason", line, aborts[line][#aborts[line] - back]) end
kept(27, 1)
kept(33, 1)
kept(41, 0)
print "."
io.stdout:flush()
io.read()
