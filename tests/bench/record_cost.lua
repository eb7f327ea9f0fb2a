-- record_cost.lua PHASES PIECES: what record.sh measured. A phase is a name, its beginning and its end; a piece when it
-- ended, and what it took by the clock and of the processor.
local START, END = 0.7, 0.3 -- seconds of a phase that do not count: the recorder comes and goes
local phases = {}
for name, from, to in io.open(arg[1]):read("*a"):gmatch("(%S+) (%S+) (%S+)\n") do
    phases[#phases + 1] = {name = name, from = from + START, to = to - END}
end

local found, at = {}, 1
for ended, clock, processor in io.open(arg[2]):read("*a"):gmatch("(%S+) (%S+) (%S+)\n") do
    ended, clock, processor = tonumber(ended), tonumber(clock), tonumber(processor)
    while phases[at + 1] and ended > phases[at].to do at = at + 1 end
    local phase = phases[at]
    if ended - clock >= phase.from and ended <= phase.to then
        local of = found[phase.name] or {clock = {}, processor = {}}
        found[phase.name] = of
        table.insert(of.clock, clock)
        table.insert(of.processor, processor)
    end
end

local function quick(list) -- mean of the quickest tenth
    table.sort(list)
    local n, sum = math.ceil(#list / 10), 0
    for i = 1, n do sum = sum + list[i] end
    return sum / n
end

local alone = found.alone
local clock, processor = quick(alone.clock), quick(alone.processor)
print(("alone: a piece takes %.2f ms by the clock, %.2f of the processor (%d pieces)"):format(clock * 1e3, processor * 1e3,
    #alone.clock))
for _, name in ipairs {"ebpf.99", "ebpf.999", "ptrace.99", "ptrace.999"} do
    local of = found[name]
    print(("%s: %+.2f %% by the clock, %+.2f %% of the processor (%d pieces)"):format(name,
        100 * (quick(of.clock) / clock - 1), 100 * (quick(of.processor) / processor - 1), #of.clock))
end
