-- record_cost.lua PHASES PIECES: what record.sh measured. A phase is a name, its beginning and its end; a piece is when it
-- ended, how long it ran, and how much of that was lost.
local START, END = 0.7, 0.3 -- seconds of a phase that do not count: the recorder comes and goes
local phases = {}
for name, from, to in io.open(arg[1]):read("*a"):gmatch("(%S+) (%S+) (%S+)\n") do
    phases[#phases + 1] = {name = name, from = from + START, to = to - END}
end

local found, at = {}, 1
for ended, ran, lost in io.open(arg[2]):read("*a"):gmatch("(%S+) (%S+) (%S+)\n") do
    ended, ran, lost = tonumber(ended), tonumber(ran), tonumber(lost)
    while phases[at + 1] and ended > phases[at].to do at = at + 1 end
    local phase = phases[at]
    if ended - 0.5 >= phase.from and ended <= phase.to then
        found[phase.name] = found[phase.name] or {}
        table.insert(found[phase.name], 100 * lost / ran)
    end
end

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

local alone = median(found.alone)
print(("alone: %.2f %% of its time lost (median of %d half seconds)"):format(alone, #found.alone))
for _, name in ipairs {"ebpf.99", "ebpf.999", "ptrace.99", "ptrace.999"} do
    local list = found[name]
    print(("%s: %.2f %% more (%.2f to %.2f for half of %d half seconds)"):format(name, median(list) - alone,
        list[math.ceil(#list / 4)] - alone, list[math.ceil(#list * 3 / 4)] - alone, #list))
end
