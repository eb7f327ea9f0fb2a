-- A strict JSON reader for tests: an error where the text is not JSON. null is M.null.
local M = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local function fail(s, at, what) error(("%s at %d: %s"):format(what, at, s:sub(at, at + 40)), 0) end

local function utf8_ok(s)
    local i = 1
    while i <= #s do
        local c = s:byte(i)
        local n = c < 0x80 and 0 or c >= 0xc2 and c < 0xe0 and 1 or c >= 0xe0 and c < 0xf0 and 2 or
            c >= 0xf0 and c < 0xf5 and 3
        if not n then return false end
        for k = 1, n do
            local d = s:byte(i + k)
            if not d or d < 0x80 or d >= 0xc0 then return false end
        end
        i = i + n + 1
    end
    return true
end

local value

local function string_at(s, at)
    local out, i = {}, at + 1
    while true do
        local c = s:sub(i, i)
        if c == "" then fail(s, at, "unfinished string") end
        if c == '"' then return table.concat(out), i + 1 end
        if c:byte() < 0x20 then fail(s, i, "control character") end
        if c == "\\" then
            local e = s:sub(i + 1, i + 1)
            if e == "u" then
                local hex = s:match("^%x%x%x%x", i + 2) or fail(s, i, "bad \\u")
                local n = tonumber(hex, 16)
                out[#out + 1] = n < 128 and string.char(n) or "<" .. hex .. ">"
                i = i + 6
            else
                out[#out + 1] = ({ n = "\n", t = "\t", r = "\r", b = "\b", f = "\f", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" })
                    [e] or fail(s, i, "bad escape")
                i = i + 2
            end
        else
            out[#out + 1] = c
            i = i + 1
        end
    end
end

local function list_at(s, at, close, item)
    local i = at + 1
    if s:sub(i, i) == close then return i + 1 end
    while true do
        i = item(i)
        local c = s:sub(i, i)
        if c == close then return i + 1 end
        if c ~= "," then fail(s, i, "',' or '" .. close .. "' expected") end
        i = i + 1
    end
end

function value(s, at)
    local c = s:sub(at, at)
    if c == '"' then return string_at(s, at) end
    if c == "{" then
        local t = {}
        return t, list_at(s, at, "}", function(i)
            local key, v
            if s:sub(i, i) ~= '"' then fail(s, i, "key expected") end
            key, i = string_at(s, i)
            if s:sub(i, i) ~= ":" then fail(s, i, "':' expected") end
            if t[key] ~= nil then fail(s, i, "key twice") end
            v, i = value(s, i + 1)
            t[key] = v
            return i
        end)
    end
    if c == "[" then
        local t = {}
        return t, list_at(s, at, "]", function(i)
            t[#t + 1], i = value(s, i)
            return i
        end)
    end
    for word, v in pairs { ["true"] = true, ["false"] = false, null = M.null } do
        if s:sub(at, at + #word - 1) == word then return v, at + #word end
    end
    local number = s:match("^%-?%d+%.?%d*[eE]?[+-]?%d*", at) or fail(s, at, "value expected")
    return tonumber(number) or fail(s, at, "bad number"), at + #number
end

function M.read(s)
    if not utf8_ok(s) then error("not UTF-8", 0) end
    local v, at = value(s, 1)
    if at ~= #s + 1 then fail(s, at, "text behind the value") end
    return v
end

return M
