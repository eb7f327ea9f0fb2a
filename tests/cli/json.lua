-- Whether standard input is JSON. json.lua PATH...: prints the values there, one a line ("1.stacks.1.frames").
local text, at = io.read("*a"), 1

local function fail(what) error(("byte %d: %s expected, got %q"):format(at, what, text:sub(at, at + 20)), 0) end
local function space() at = text:find("[^ \n\r\t]", at) or #text + 1 end
local value

local function string()
    local out = {}
    at = at + 1
    while true do
        local c = text:sub(at, at)
        if c == '"' then at = at + 1 return table.concat(out) end
        if c == "" or c:byte() < 32 then fail("a character of a string") end
        if c == "\\" then
            local e = text:sub(at + 1, at + 1)
            if e == "u" then
                local hex = text:match("^%x%x%x%x", at + 2) or fail("four digits")
                out[#out + 1] = "\\u" .. hex
                at = at + 6
            else
                out[#out + 1] = ({['"'] = '"', ["\\"] = "\\", n = "\n", t = "\t", ["/"] = "/"})[e] or fail("an escape")
                at = at + 2
            end
        else
            out[#out + 1] = c
            at = at + 1
        end
    end
end

local function list(close, item)
    local result, n = {}, 0
    at = at + 1
    space()
    if text:sub(at, at) == close then at = at + 1 return result end
    while true do
        n = n + 1
        item(result, n)
        space()
        local c = text:sub(at, at)
        at = at + 1
        if c == close then return result end
        if c ~= "," then at = at - 1 fail("',' or '" .. close .. "'") end
        space()
    end
end

function value()
    space()
    local c = text:sub(at, at)
    if c == "{" then
        return list("}", function(t)
            if text:sub(at, at) ~= '"' then fail("a key") end
            local key = string()
            space()
            if text:sub(at, at) ~= ":" then fail("':'") end
            at = at + 1
            t[key] = value()
        end)
    elseif c == "[" then
        return list("]", function(t, n) t[n] = value() end)
    elseif c == '"' then
        return string()
    end
    for word, v in pairs {["true"] = true, ["false"] = false, null = "null"} do
        if text:sub(at, at + #word - 1) == word then at = at + #word return v end
    end
    local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at) or fail("a value")
    at = at + #number
    return tonumber(number) or fail("a number")
end

local ok, root = pcall(value)
if ok then
    space()
    ok, root = at > #text, at > #text and root or ("byte %d: more than one value"):format(at)
end
if not ok then
    io.stderr:write("no JSON: ", tostring(root), "\n")
    os.exit(1)
end
for _, path in ipairs(arg) do
    local v = root
    for key in path:gmatch("[^.]+") do
        if key == "#" then
            v = #v
        else
            v = type(v) == "table" and (v[tonumber(key) or key] or v[key])
        end
    end
    print(v)
end
