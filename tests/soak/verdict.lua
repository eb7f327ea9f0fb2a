-- What a soak has shown: luajit verdict.lua DIRECTORY reads what run.sh left there and prints each criterion with the
-- figures it goes by. Exit status: 1 where one does not hold.
--
-- Memory is judged by its slope: the median of the slopes between all pairs of samples (Theil and Sen's), which single peaks do not
-- move. What is counted in ones has none such while it grows by two or three: there the least of the last third may not exceed
-- that of the first. A fifth of a process's samples, the first, is left out: caches fill then. What has fewer than 12 samples
-- after that is named, and not judged.
local directory = assert(arg[1], "usage: verdict.lua DIRECTORY")

-- What a process may gain from first to last sample. An hour's soak is some 8,000 changes of the hooks file and a million by
-- API: a leak of 200 bytes in each is 1.6 MB, and 200 MB.
local limits = {
    rss_kb = 1024, -- with pages of files, which come as they are first used
    anon_kb = 1024,
    heap_kb = 64,
    fds = 0,
    maps = 12, -- areas of machine code are made as they are needed, to a number that LuaJIT bounds
    threads = 0,
}
local ratio_drift = 0.25 -- of the cost with hooks to that without, last third against first
local cost_drift = 0.5  -- of the cost without hooks, which says that all is undone; a machine's pace is in it
local least_samples, least_turns = 12, 9

-- ---- Reading ----

local function read_csv(name)
    local file = assert(io.open(directory .. "/" .. name))
    local columns, rows = {}, {}
    for column in file:read("*l"):gmatch("[^,]+") do columns[#columns + 1] = column end
    for line in file:lines() do
        local row, n = {}, 0
        for value in (line .. ","):gmatch("([^,]*),") do
            n = n + 1
            row[columns[n]] = tonumber(value) or value
        end
        assert(n == #columns, name .. ": " .. line)
        rows[#rows + 1] = row
    end
    file:close()
    return rows
end

local counts = {}
for line in io.lines(directory .. "/counts") do
    local name, n = line:match("^(%S+) (%d+)$")
    counts[name] = tonumber(n)
end
local samples, speed = read_csv "samples.csv", read_csv "speed.csv"

-- ---- Judging ----

local failures, unjudged = 0, 0
local function verdict(holds, text, ...)
    if not holds then failures = failures + 1 end
    print((holds and "  holds  " or "  FAILS  ") .. text:format(...))
end
local function not_judged(text, ...)
    unjudged = unjudged + 1
    print("  -----  not judged: " .. text:format(...))
end

local function median(list)
    table.sort(list)
    local n = #list
    return n % 2 == 1 and list[(n + 1) / 2] or (list[n / 2] + list[n / 2 + 1]) / 2
end

local function slope(rows, x, y)
    local slopes = {}
    for i = 1, #rows do
        for j = i + 1, #rows do
            local dx = rows[j][x] - rows[i][x]
            if dx ~= 0 then slopes[#slopes + 1] = (rows[j][y] - rows[i][y]) / dx end
        end
    end
    return #slopes > 0 and median(slopes) or 0
end

-- One process: of a name that came again (a reload) the last.
local order, series = {}, {}
for _, row in ipairs(samples) do
    local s = series[row.name]
    if not s then order[#order + 1] = row.name end
    if not s or s[1].pid ~= row.pid then
        s = {}
        series[row.name] = s
    end
    s[#s + 1] = row
end

local function least(rows, column, first, last)
    local n = math.huge
    for i = first, last do n = math.min(n, rows[i][column]) end
    return n
end

local function judge(name, rows, x, columns)
    local kept = {}
    for i = math.floor(#rows / 5) + 1, #rows do kept[#kept + 1] = rows[i] end
    if #kept < least_samples then return not_judged("%s, of which there are %d samples", name, #rows) end
    local first, last, third = kept[1], kept[#kept], math.floor(#kept / 3)
    for _, column in ipairs(columns) do
        local grows, how
        if column:match "_kb$" then
            local s = slope(kept, x, column)
            grows = s * (last[x] - first[x])
            how = x == "reloads" and ("slope %.2f a reload"):format(s) or ("slope %.1f an hour, %.2f bytes a change"):format(s * 3600,
                grows * 1024 / math.max(1, last.edits - first.edits))
        else
            local before, after = least(kept, column, 1, third), least(kept, column, #kept - third + 1, #kept)
            grows, how = after - before, ("least %d in the first third, %d in the last"):format(before, after)
        end
        verdict(grows <= limits[column], "%s: %s %g at first, %g after warm-up, %g at last; %s; grows by %.1f, at most %g", name, column,
            rows[1][column], first[column], last[column], how, grows, limits[column])
    end
end

local columns = {"rss_kb", "anon_kb", "heap_kb", "fds", "maps", "threads"}
for _, name in ipairs(order) do
    if name == "master" then
        -- It does something at reloads only.
        local rows, last = {}, nil
        for _, row in ipairs(series.master) do
            if row.reloads ~= last then rows[#rows + 1] = row end
            last = row.reloads
        end
        judge("master", rows, "reloads", {"rss_kb", "anon_kb", "fds", "maps", "threads"})
    else
        judge(name, series[name], "seconds", columns)
    end
end

-- Turns with a reload are left out: new workers have all to load and to compile.
local reloaded_at, reloads = 0, nil
for _, row in ipairs(series.master or {}) do
    if reloads ~= row.reloads and row.reloads > 0 then reloaded_at = row.seconds end
    reloads = row.reloads
end
local settled = {}
for _, row in ipairs(speed) do if row.seconds > reloaded_at then settled[#settled + 1] = row end end
speed = settled

local function third(rows, which, value)
    local n, values = math.floor(#rows / 3), {}
    for i = which == "first" and 1 or #rows - n + 1, which == "first" and n or #rows do values[#values + 1] = value(rows[i]) end
    return median(values)
end
if #speed < least_turns then
    not_judged("drift of speed, for which there are %d turns", #speed)
else
    local function drift(what, limit, value)
        local first, last = third(speed, "first", value), third(speed, "last", value)
        verdict(math.abs(last / first - 1) <= limit, "%s: %.2f in the first third, %.2f in the last; %+.1f %%, at most %.0f %%", what,
            first, last, (last / first - 1) * 100, limit * 100)
    end
    drift("processor time of a request with hooks over that without", ratio_drift, function(row) return row.ns_on / row.ns_off end)
    drift("processor time of a request without hooks, in us", cost_drift, function(row) return row.ns_off / 1000 end)
    print(("         requests a second at full load: %d without hooks, %d with (medians)"):format(
        third(speed, "first", function(row) return row.rate_off end), third(speed, "first", function(row) return row.rate_on end)))
end

verdict(counts.answers > 0 and counts.edits > 0, "%d requests were answered while hooks changed %d times and nginx was reloaded %d times",
    counts.answers, counts.edits, counts.reloads)
verdict(counts.wrong == 0, "%d answers differ from those of nginx without hooks", counts.wrong)
verdict(counts.failed == 0, "%d failures: requests, workers, processes", counts.failed)
verdict(counts.missed == 0, "%d changes were not in force in every worker within 10 s", counts.missed)
verdict(counts.errors == 0, "%d lines of the log are errors that nobody expects", counts.errors)
print(failures == 0 and "The soak has passed" .. (unjudged > 0 and ", as far as it was judged." or ".") or
    ("The soak has FAILED: %d criteria."):format(failures))
os.exit(failures == 0 and 0 or 1)
