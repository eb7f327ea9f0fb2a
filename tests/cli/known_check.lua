-- known_check.lua FILE...: whether every stack in these folded stacks is one that known.lua can have. Prints those that
-- are not, and how many samples of how many stacks there were.

-- What a function may call, and the lines it may be at: names as in the folded stacks, "down" apart.
local calls = {
    main = {"run"},
    run = {"down", "meta", "many", "protected", "sorting", "resuming", "strings"},
    leaf = {},
    meta = {"__index", "__add"},
    __index = {"leaf"},
    __add = {"down"},
    many = {"leaf"},
    protected = {"[C] pcall"},
    ["[C] pcall"] = {"throws", "many"},
    throws = {"[C] error"},
    ["[C] error"] = {},
    sorting = {"[C] sort"},
    ["[C] sort"] = {"comparing"},
    comparing = {},
    resuming = {"[C] resumed", "[C] resume"},
    ["[C] resumed"] = {"body"},
    ["[C] resume"] = {"body"},
    body = {"leaf", "[C] yield"},
    ["[C] yield"] = {},
    strings = {"[C] gsub"},
    ["[C] gsub"] = {},
}
local first_lines = {leaf = 3, down = 15, __index = 25, __add = 29, meta = 35, many = 41, throws = 47, protected = 54,
    comparing = 60, sorting = 64, body = 70, resuming = 79, strings = 85, run = 93}
local lines = {leaf = {3, 12}, meta = {35, 39}, __index = {25, 28}, __add = {29, 32}, many = {41, 45}, throws = {47, 52},
    protected = {54, 58}, comparing = {60, 62}, sorting = {64, 68}, body = {70, 75}, resuming = {79, 83}, strings = {85, 91},
    run = {93, 106}, main = {3, 107}}
local names = {}
for name, line in pairs(first_lines) do names[line] = name end

local function is_in(list, item)
    for _, v in ipairs(list) do if v == item then return true end end
    return false
end

-- The frames as names, and the line that ran, if any. Nil where a frame is none that the program has.
local function parse(stack)
    local frames, line = {}, nil
    for label in stack:gmatch("[^;]+") do
        local first = tonumber(label:match("^[^@]*@.*known%.lua:(%d+)$"))
        if line then
            if not (label == "(garbage collector)" or label == "(JIT compiler)") then return nil end
        elseif first then
            frames[#frames + 1] = names[first] or label
        elseif label:match("^main@.*known%.lua$") then
            frames[#frames + 1] = "main"
        elseif label:match("^%[C%] luajit%+0x%x+$") and #frames == 0 then
            frames[0] = "host"
        elseif label:match("^%[C%] ") then
            frames[#frames + 1] = label
        elseif label:match("known%.lua:%d+$") then
            line = tonumber(label:match("%d+$"))
        elseif not (label == "(garbage collector)" or label == "(JIT compiler)") then
            return nil
        end
    end
    return frames, line
end

-- down(n) calls itself n times, and leaf at the end.
local function wrong(frames, line)
    if frames[0] ~= "host" or frames[1] ~= "main" then return "does not begin with the main chunk" end
    local i = 2
    while i <= #frames do
        local caller, callee = frames[i - 1], frames[i]
        if not is_in(calls[caller], callee) then return caller .. " does not call " .. callee end
        if callee == "down" then
            local depth, deepest = 1, caller == "run" and 4 or 3
            while frames[i + 1] == "down" do i, depth = i + 1, depth + 1 end
            if depth > deepest then return "down is too deep" end
            if frames[i + 1] then
                if frames[i + 1] ~= "leaf" or depth < deepest or #frames ~= i + 1 then return "down calls what it cannot" end
                i = i + 1
            elseif line and (line < 15 or line > 22 or (depth < deepest and (line == 17 or line == 18)) or
                (depth == deepest and line > 18)) then
                return ("down at depth %d is not at line %d"):format(depth, line)
            end
        end
        i = i + 1
    end
    local range = lines[frames[#frames]]
    if line and frames[#frames] ~= "down" and not (range and line >= range[1] and line <= range[2]) then
        return frames[#frames] .. " has no line " .. line
    end
end

local samples, stacks, bad, whole = 0, 0, 0, 0
for _, file in ipairs(arg) do
    for row in io.lines(file) do
        local stack, count = row:match("^(.*) (%d+)$")
        local frames, line = parse(stack)
        local why = frames and wrong(frames, line) or not frames and "is not understood"
        samples, stacks = samples + count, stacks + 1
        if why then
            bad = bad + count
            print("# " .. why .. ": " .. row)
        end
    end
end
print(("# %d samples of %d stacks, %d of them wrong"):format(samples, stacks, bad))
os.exit((bad == 0 and samples >= 500) and 0 or 1)
