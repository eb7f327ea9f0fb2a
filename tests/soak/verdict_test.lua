-- The verdict on a soak can fail: a sound one, made up here, passes; with one flaw it fails, and names what is wrong.
local directory = assert(io.popen("mktemp -d")):read("*l")
local here = arg[0]:match("^(.*)/") or "."

local function write(name, text)
    local file = assert(io.open(directory .. "/" .. name, "w"))
    assert(file:write(text))
    file:close()
end

math.randomseed(1)
local function noise(n) return math.random(-n, n) end

-- An hour in 120 turns. `spoil` gets each row, and the counts, and how much of the hour is over.
local function soak(turns, spoil)
    local samples = {"seconds,name,pid,rss_kb,pss_kb,anon_kb,fds,maps,threads,heap_kb,edits,reloads"}
    local speed = {"seconds,rate_off,rate_on,ns_off,ns_on"}
    local counts = {answers = 1e6, wrong = 0, failed = 0, edits = turns * 100, reloads = math.floor(turns / 3), missed = 0, errors = 0}
    for turn = 1, turns do
        local seconds, reloads = turn * 30, math.min(turn, counts.reloads)
        local generation = "1" .. reloads -- workers live to the next reload
        for name, pid in pairs {master = 1, worker1 = generation, luajit = 2} do
            local row = {name = name, rss_kb = 10000 + noise(400), anon_kb = 3000 + noise(300), fds = 12, maps = 100 + noise(2),
                         threads = math.random(2), heap_kb = name == "master" and "" or 280 + noise(20)}
            spoil(row, turn / turns)
            samples[#samples + 1] = table.concat({seconds, name, pid, row.rss_kb, 5000, row.anon_kb, row.fds, row.maps, row.threads,
                                                  row.heap_kb, turn * 100, reloads}, ",")
        end
        local row = {ns_off = 60000 + noise(9000), ns_on = 90000 + noise(12000)}
        spoil(row, turn / turns)
        speed[#speed + 1] = ("%d,4000,3000,%d,%d"):format(seconds, row.ns_off, row.ns_on)
    end
    spoil(counts, 1)
    write("samples.csv", table.concat(samples, "\n") .. "\n")
    write("speed.csv", table.concat(speed, "\n") .. "\n")
    local lines = {}
    for name, n in pairs(counts) do lines[#lines + 1] = ("%s %d\n"):format(name, n) end
    write("counts", table.concat(lines))
    local run = io.popen(("luajit %s/verdict.lua %s; echo status $?"):format(here, directory))
    local report = run:read("*a")
    run:close()
    return tonumber(report:match "status (%d+)\n$"), report
end

local failed = 0
local function check(ok, what, report)
    print((ok and "ok - " or "not ok - ") .. what)
    if ok then return end
    failed = failed + 1
    print(report)
end

local status, report = soak(120, function() end)
check(status == 0 and not report:find "FAILS" and not report:find "not judged", "a sound soak passes, and all is judged", report)

status, report = soak(5, function() end)
check(status == 0 and report:find "not judged: worker1" and report:find "not judged: drift" and report:find "as far as it was judged",
    "what is too short to be judged is named", report)

-- What grows by so much in the hour, of which process, and how the failed criterion begins.
local flaws = {
    {"master", "rss_kb", 15000, "master: rss_kb"},
    {"master", "fds", 40, "master: fds"},
    {"worker1", "rss_kb", 15000, "worker1: rss_kb"},
    {"worker1", "anon_kb", 15000, "worker1: anon_kb"},
    {"worker1", "heap_kb", 200, "worker1: heap_kb"},
    {"worker1", "fds", 1.5, "worker1: fds"},
    {"worker1", "maps", 40, "worker1: maps"},
    {"worker1", "threads", 1.5, "worker1: threads"},
    {"luajit", "heap_kb", 100, "luajit: heap_kb"},
    {"luajit", "anon_kb", 15000, "luajit: anon_kb"},
}
for _, flaw in ipairs(flaws) do
    local name, column, growth, begins = unpack(flaw)
    status, report = soak(120, function(row, part)
        if row.name == name then row[column] = math.floor(row[column] + growth * part) end
    end)
    local _, n = report:gsub("\n?  FAILS  ", "")
    check(status == 1 and report:find("FAILS  " .. begins, 1, true) and n == 1, begins .. " that grows fails, and nothing else", report)
end

status, report = soak(120, function(row, part) if row.ns_on then row.ns_on = row.ns_on * (1 + 1.2 * part) end end)
check(status == 1 and report:find "FAILS  processor time of a request with hooks", "hooks that get slower fail", report)
status, report = soak(120, function(row, part)
    if row.ns_on then row.ns_on, row.ns_off = row.ns_on * (1 + 2 * part), row.ns_off * (1 + 2 * part) end
end)
check(status == 1 and report:find "FAILS  processor time of a request without", "requests without hooks that get slower fail", report)

for _, name in ipairs {"wrong", "failed", "missed", "errors"} do
    status, report = soak(120, function(row) if row[name] then row[name] = 1 end end)
    check(status == 1, "one of what is counted as " .. name .. " fails", report)
end
for _, name in ipairs {"answers", "edits"} do
    status, report = soak(120, function(row) if row.answers then row[name] = 0 end end)
    check(status == 1, "no " .. name .. " fails", report)
end
os.execute("rm -rf " .. directory)
os.exit(failed == 0 and 0 or 1)
