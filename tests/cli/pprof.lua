-- Reads a profile as protoc prints it, and prints it as folded stacks; what is wrong with it, too.
local function read()
    local root = {}
    local stack = {root}
    for line in io.lines() do
        local name, value = line:match "^%s*([%w_]+): (.*)$"
        local into = stack[#stack]
        if line:match "^%s*}$" then
            table.remove(stack)
        elseif name then
            local text = value:match '^"(.*)"$'
            if text then
                value = text:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end):gsub("\\(.)", "%1")
            else
                value = assert(tonumber(value), line)
            end
            into[name] = into[name] or {}
            table.insert(into[name], value)
        else
            name = assert(line:match "^%s*([%w_]+) {$", line)
            into[name] = into[name] or {}
            local new = {}
            table.insert(into[name], new)
            table.insert(stack, new)
        end
    end
    return root
end

local p = read()
local function text(number) return assert(p.string_table[(number or 0) + 1], "no such string") end
local function one(list) assert(#list == 1) return list[1] end
local function by_id(list)
    local result = {}
    for _, v in ipairs(list) do
        local id = one(v.id)
        assert(id > 0 and not result[id], "an id twice")
        result[id] = v
    end
    return result
end
local function type_of(t) return text(one(t.type)) .. "/" .. text(one(t.unit)) end

assert(text(0) == "", "the first string is not empty")
assert(#p.sample_type == 2)
assert(type_of(p.sample_type[1]) == "samples/count")
assert(type_of(p.sample_type[2]) == "cpu/nanoseconds")
assert(type_of(one(p.period_type)) == "cpu/nanoseconds")
local period = one(p.period)
assert(text(one(p.comment)):match "^ljinspect: process %d+")

local functions, locations = by_id(p["function"]), by_id(p.location)
for _, sample in ipairs(p.sample) do
    assert(#sample.value == 2 and sample.value[2] == sample.value[1] * period, "time is not samples times the period")
    local frames = {}
    for i = #sample.location_id, 1, -1 do
        local line = one(assert(locations[sample.location_id[i]], "no such location").line)
        local f = assert(functions[one(line.function_id)], "no such function")
        local label = text(one(f.name))
        table.insert(frames, label)
        local file = f.filename and text(one(f.filename))
        if file then
            local at = file .. (f.start_line and ":" .. one(f.start_line) or "")
            assert(label:sub(-#at - 1) == "@" .. at, label .. " is not at " .. at)
        end
        if line.line then table.insert(frames, ("%s:%d"):format(file, one(line.line))) end
    end
    print(("%s %d"):format(table.concat(frames, ";"), sample.value[1]))
end
