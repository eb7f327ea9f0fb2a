-- A program whose hooks are set, hit and removed all the time; it checks each result and the hits of each hook.
--
--   luajit plain.lua NAME SECONDS DIRECTORY     appends to DIRECTORY/NAME.csv; ends early where DIRECTORY/stop appears
--
-- About 300 changes a second, a million in an hour. A line of NAME.csv is as in run.sh's samples.csv; in the column "edits"
-- it has the changes. Exit status: 1 where a result or a count was wrong.
local ljinspect = require "ljinspect"
local ffi = require "ffi"
local name, seconds, directory = arg[1], tonumber(arg[2]), arg[3]
local rate = 300

ffi.cdef [[
int poll(void *, unsigned long, int);
int getpid(void);
typedef struct { long s, ns; } soak_time;
int clock_gettime(int, soak_time *);
]]
local t = ffi.new "soak_time"
local function now()
    ffi.C.clock_gettime(1, t)
    return tonumber(t.s) + tonumber(t.ns) * 1e-9
end

math.randomseed(tonumber(os.getenv "SOAK_SEED" or 1))
local started, changes, calls, wrong, first = now(), 0, 0, 0, nil
local function check(ok, what, ...)
    if ok then return end
    wrong = wrong + 1
    first = first or what:format(...)
end

-- ---- The program ----

local source = [[
local M, step = {}, ...
function M.sum(n)
    local sum = 0
    for i = 1, n do
        sum = sum + i * step          -- 5
    end
    return sum                        -- 7
end
function M.words(n, ...)
    local words = {...}               -- 10
    for i = 1, n do words[#words + 1] = "w" .. i end
    return table.concat(words, " ")   -- 12
end
function M.fib(n)
    if n < 2 then return n end        -- 15
    return M.fib(n - 1) + M.fib(n - 2)
end
function M.waits(n)
    local seen = 0
    for i = 1, n do
        seen = seen + coroutine.yield(i) -- 21
    end
    return seen
end
return M
]]
local function load_program(file) return assert(loadstring(source, file))(2) end
local program = load_program "@soak-program.lua"

local function run_waits(p, n)
    local co = coroutine.wrap(p.waits)
    local last = co(n)
    while true do
        local value = co(10)
        if last == n then return value end
        last = value
    end
end

-- Line, how it is run, the result, and how often the line is hit.
local cases = {
    {5, function(p) return p.sum(150) end, 22650, 150},
    {7, function(p) return p.sum(60) end, 3660, 1},
    {10, function(p) return p.words(3, "a", nil, "b") end, nil, 1},
    {12, function(p) return p.words(2, "a") end, "a w1 w2", 1},
    {15, function(p) return p.fib(6) end, 8, 25},
    {21, function(p) return run_waits(p, 5) end, 50, 5},
}
cases[3][3] = cases[3][2](program)

local function run(case, p)
    calls = calls + 1
    local result = case[2](p or program)
    check(result == case[3], "line %d: %s instead of %s", case[1], tostring(result), tostring(case[3]))
end

-- ---- Ways of having hooks ----

local file = "soak-program.lua"
local function set(...)
    changes = changes + 1
    return assert(ljinspect.set_hook(...))
end
local function unset(n, got)
    changes = changes + n
    check(got == n, "%s hooks removed instead of %d", tostring(got), n)
end
local function hits_of(id)
    for _, h in ipairs(ljinspect.hooks()) do if h.id == id then return h.hits end end
end

local ways = {}

function ways.filter(case)
    local n = 0
    set(file, case[1], nil, function(info)
        n = n + (info.finfo.currentline == case[1] and 1 or 0)
        return false
    end)
    run(case)
    check(n == case[4], "line %d: %d hits instead of %d", case[1], n, case[4])
    unset(1, ljinspect.unset_hook(file, case[1]))
    run(case)
    check(n == case[4], "line %d is hit after its hook was removed", case[1])
end

function ways.once(case)
    local n = 0
    set(file, case[1], program.sum, function() n = n + 1 end)
    run(case)
    changes = changes + 1
    check(n == 1 and #ljinspect.hooks() == 0, "line %d: %d hits of a hook that goes at the first", case[1], n)
end

function ways.several(case)
    local ids = {}
    for i = 1, 5 do ids[i] = set(file, cases[i][1], nil, function() return false end) end
    ids[6] = set {file = file, line = case[1], condition = "1 == 2", log = "never"}
    run(case)
    check(hits_of(ids[6]) == case[4], "line %d: %s hits in the listing instead of %d", case[1], tostring(hits_of(ids[6])), case[4])
    unset(6, ljinspect.unset_all())
end

function ways.lines_of_log(case)
    local n = 0
    local id = set {file = file, line = case[1], log = "{n}", capture = {locals = true, varargs = true, stack = 3},
                    budget = 0, sink = function() n = n + 1 end}
    run(case)
    check(n == case[4], "line %d: %d lines instead of %d", case[1], n, case[4])
    changes = changes + 1
    check(ljinspect.unset_hook(file, case[1]) == 1 and hits_of(id) == nil, "hook %d is still there", id)
end

function ways.lines_in_a_file(case)
    set {file = file, line = case[1], count = true, log = "{n}", sink = directory .. "/" .. name .. ".lines", per_second = 2}
    run(case)
    unset(1, ljinspect.unset_all())
end

function ways.later(case)
    local other, n = "soak-later-" .. math.random(3) .. ".lua", 0
    set(other, case[1], nil, function() n = n + 1 return false end)
    run(case, load_program("@" .. other))
    check(n == case[4], "line %d of a later program: %d hits instead of %d", case[1], n, case[4])
    unset(1, ljinspect.unset_hook(other, case[1]))
end

function ways.within(case)
    local n, inner = 0, 0
    set(file, case[1], nil, function()
        n = n + 1
        unset(1, ljinspect.unset_hook(file, case[1]))
        set(file, 7, nil, function() inner = inner + 1 end)
        return false
    end)
    run(case)
    check(n == 1, "line %d: %d hits of a hook that removes itself", case[1], n)
    program.sum(1)
    changes = changes + 1
    check(inner == 1 and #ljinspect.hooks() == 0, "%d hits of a hook that was set by a filter", inner)
end

function ways.returns(case)
    if ljinspect.status().engine ~= "trap" then return ways.filter(case) end
    local n = 0
    set {func = program.fib, at = "return", histogram = "duration_us", budget = 0, filter = function(info)
        n = n + info.returns.n
        return false
    end}
    run(cases[5])
    check(n == 25, "%d returns instead of 25", n)
    unset(1, ljinspect.unset_all())
end

-- ---- Looking at itself ----

local function proc(path) -- lines of a file below /proc/self
    local f = assert(io.open("/proc/self/" .. path))
    local text = f:read("*a")
    f:close()
    return text
end

local function descriptors()
    local n = 0
    for fd = 0, 255 do
        local f = io.open("/proc/self/fdinfo/" .. fd)
        if f then
            f:close()
            n = n + 1
        end
    end
    return n - 1 -- the one it is read through, whose own number it was
end

local samples = assert(io.open(directory .. "/" .. name .. ".csv", "a"))
local function look()
    collectgarbage()
    collectgarbage()
    local heap, fds, rollup = collectgarbage("count"), descriptors(), proc "smaps_rollup"
    local _, maps = proc("maps"):gsub("\n", "")
    samples:write(("%d,%s,%d,%s,%s,%s,%d,%d,%s,%.1f,%d,0\n"):format(now() - started, name, ffi.C.getpid(),
        rollup:match "Rss: *(%d+)", rollup:match "Pss: *(%d+)",
        rollup:match "Anonymous: *(%d+)", fds, maps, proc("status"):match "Threads:%s*(%d+)", heap, changes))
    samples:flush()
end
local function told_to_stop()
    local f = io.open(directory .. "/stop")
    if f then f:close() end
    return f ~= nil
end

-- ---- An hour ----

ljinspect.set_logger(function(level, message) check(level ~= "error", "%s", message) end)
local names = {}
for way in pairs(ways) do names[#names + 1] = way end
table.sort(names)
local every = math.min(20, seconds / 20)
local next_look, last = started + every, started + seconds
while now() < last do
    ways[names[math.random(#names)]](cases[math.random(#cases)])
    if now() >= next_look then
        look()
        if told_to_stop() then break end
        next_look = next_look + every
    end
    local early = started + changes / rate - now()
    if early > 0.001 then ffi.C.poll(nil, 0, math.min(early * 1000, 100)) end
end
io.write(("%s%s, engine %s: %d changes, %d calls, %d wrong%s\n"):format(jit.version, pcall(require, "table.nkeys") and " of OpenResty" or "", ljinspect.status().engine, changes, calls, wrong,
    first and ": " .. first or ""))
os.exit(wrong == 0 and 0 or 1, true)
