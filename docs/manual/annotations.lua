-- What editors/lua/ljinspect.lua says of the Lua module. A function or a field without a text is an error: the annotations
-- are where the module is documented, once.
local annotations = {}

-- A type at the start of `text`, and what follows it: a space ends the type where no bracket is open and no ":" before.
function annotations.split_type(text)
    local depth, at = 0, 1
    while at <= #text do
        local c = text:sub(at, at)
        if c == '"' then at = assert(text:find('"', at + 1, true), text) end
        if c:find("[(<{]") then depth = depth + 1 end
        if c:find("[)>}]") then depth = depth - 1 end
        if c == " " and depth == 0 and text:sub(at - 1, at - 1) ~= ":" then break end
        at = at + 1
    end
    return text:sub(1, at - 1), (text:sub(at + 1))
end

local function add_text(to, line)
    if line == "" then
        to[#to + 1] = ""
    elseif #to == 0 or to[#to] == "" then
        to[math.max(#to, 1)] = line
    else
        to[#to] = to[#to] .. " " .. line
    end
end

-- {functions={{name=, parameters=, text={paragraph...}, params={}, returns={}, overloads={}}}, types={{name=, text=, fields={},
-- alias=}}}, and a list of problems.
function annotations.read(text)
    local a, problems = { functions = {}, types = {} }, {}
    local function problem(format, ...) problems[#problems + 1] = "editors/lua/ljinspect.lua: " .. format:format(...) end
    local said, class = {}, nil
    local params, returns, overloads = {}, {}, {}
    local function clear() said, params, returns, overloads = {}, {}, {}, {} end

    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
        local tag, rest = line:match("^%-%-%-@(%a+) ?(.*)$")
        local comment = not tag and line:match("^%-%-%-(.*)$")
        local name, parameters = line:match("^function ([%w_.]+)%((.-)%) end")
        if comment then
            add_text(said, comment)
        elseif tag == "class" then
            class = { name = rest, text = said, fields = {} }
            if rest ~= "ljinspect" then
                a.types[#a.types + 1] = class
            else
                a.module = class
            end
            clear()
        elseif tag == "field" then
            local field, optional, what = rest:match("^(%S-)(%??) (.+)$")
            local of, words = annotations.split_type(what)
            table.insert(class.fields, { name = field, optional = optional == "?", type = of, text = words })
        elseif tag == "alias" then
            local alias, what = rest:match("^(%S+) (.+)$")
            a.types[#a.types + 1] = { name = alias, text = said, fields = {}, alias = (annotations.split_type(what)) }
            clear()
        elseif tag == "param" then
            local param, optional, what = rest:match("^([%w_]+)(%??) (.+)$")
            local of, words = annotations.split_type(what)
            table.insert(params, { name = param, optional = optional == "?", type = of, text = words })
        elseif tag == "return" then
            local of, words = annotations.split_type(rest)
            local called, what = words:match("^(%S+) ?(.*)$")
            table.insert(returns, { type = of, name = called, text = what or "" })
        elseif tag == "overload" then
            table.insert(overloads, rest)
        elseif name then
            if #said == 0 and name ~= "ljinspect.status" then problem("%s has no text", name) end
            table.insert(a.functions, { name = name, parameters = parameters, text = said, params = params,
                returns = returns, overloads = overloads })
            clear()
        elseif line == "" then
            class = nil
        end
    end
    return a, problems
end

return annotations
