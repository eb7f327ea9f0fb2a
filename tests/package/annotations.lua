-- The annotations in editors/lua say what the module is: the functions and fields that they name are those that there
-- are, with their types. Each fact comes from the module as it runs, but for the names of options, which are read
-- from the source and then tried. At last lines of the annotations are taken out, put in and changed: each must be
-- noticed. The manual page of hooks files has the same fields.
local ljinspect = require "ljinspect"

local source = assert(os.getenv("LJINSPECT_SOURCE"), "LJINSPECT_SOURCE: the top of the tree")
package.path = source .. "/docs/manual/?.lua;" .. package.path
local annotations = require "annotations"
local TYPES = { "string", "number", "boolean", "table", "function" }
local lines = {} -- from sinks

local function read(path)
    local f = assert(io.open(source .. "/" .. path))
    local text = f:read("*a")
    f:close()
    return text
end

-- ---- What the module is ----

-- The names in the array `names` of a function in C.
local function c_names(code, signature)
    local at = assert(code:find(signature, 1, true), signature)
    local list, names = assert(code:match("names%[%] = (%b{})", at)), {}
    for name in list:gmatch('"([^"]+)"') do names[#names + 1] = name end
    assert(#names > 0, signature)
    return names
end

-- The options that watch() compares with.
local function watch_names(code)
    local body, names = assert(code:match("\nstatic int watch%(.-\n}\n")), {}
    for name in body:gmatch('strcmp%(name, "([^"]+)"%)') do names[#names + 1] = name end
    assert(#names > 0)
    return names
end

local VALUES = { string = "x", number = 1, boolean = true, table = {}, ["function"] = function() end }

-- Which types the option `name` may have, found by trying: try(value) gives an error's message.
local function tried(name, try)
    local types = {}
    for _, t in ipairs(TYPES) do
        local message = try(VALUES[t]) or ""
        assert(not message:find("unknown", 1, true), message)
        local refused = message:match("%f[%w]" .. name .. ": [^:]* expected, got (%a+)")
        assert(not refused or refused == t, message)
        types[t] = not refused
    end
    return types
end

local function message_of(f, ...)
    local ok, message = pcall(f, ...)
    ljinspect.unset_all()
    ljinspect.destroy()
    return not ok and message or nil
end

local function options(names, try)
    local class = { input = true, fields = {} }
    for _, name in ipairs(names) do
        local function with(value) return try(name, value) end
        class.fields[name] = { types = tried(name, with), try = with }
    end
    return class
end

-- Tables that were seen: which fields, with which types and strings, and whether always.
local function seen(tables)
    local class = { fields = {} }
    for _, t in ipairs(tables) do
        for name, value in pairs(t) do
            if type(name) == "string" then
                local f = class.fields[name] or { types = {}, strings = {}, n = 0 }
                class.fields[name] = f
                f.types[type(value)] = true
                if type(value) == "string" then f.strings[value] = true end
                f.n = f.n + 1
            end
        end
    end
    for _, f in pairs(class.fields) do f.always = f.n == #tables end
    return class
end

local function seen_infos()
    local infos = {}
    local function keep(info)
        infos[#infos + 1] = info
        for _ in pairs(info) do end -- all of it is wanted
        return false
    end
    local chunk = assert(loadstring([[
        local up = 1
        function annotated(a, ...)
            local b = a + up
            return b
        end
        annotated(1, 2)]], "@annotated.lua"))
    ljinspect.set_hook("annotated.lua", 1, nil, keep)
    ljinspect.set_hook("annotated.lua", 3, nil, keep)
    chunk()
    assert(ljinspect.set_hook { func = "annotated", at = "return", filter = keep })
    pcall(chunk) -- sets another function of that name
    local f = _G.annotated
    assert(ljinspect.set_hook { func = f, at = "return", filter = keep })
    f(1, 2)
    pcall(f, 1)
    ljinspect.unset_all()
    assert(#infos >= 3)
    return infos
end

local function seen_hooks()
    local f = assert(loadstring("local x = 1\n\n\nx = 2\nreturn x", "@seen.lua"))
    assert(ljinspect.set_hook("seen.lua", 1, nil, function() return false end))
    assert(ljinspect.set_hook("seen.lua", 3, nil, function() return false end))
    assert(ljinspect.set_hook("elsewhere.lua", 3, nil, function() return false end))
    assert(ljinspect.set_hook { file = "seen.lua", line = 4, log = "{x}", tag = "some", budget = 1e-9,
        sink = function(line) lines[#lines + 1] = line end })
    for _ = 1, 1000 do
        f()
        for _, hook in ipairs(ljinspect.hooks()) do
            if hook.state == "suspended" then
                local hooks = ljinspect.hooks()
                ljinspect.unset_all()
                return hooks
            end
        end
    end
    error("no hook was suspended")
end

local function seen_statuses()
    local list = { ljinspect.status() }
    for _, poll in ipairs { false, true } do
        assert(ljinspect.watch { file = "/nowhere/hooks.lua", poll = poll })
        list[#list + 1] = ljinspect.status()
        ljinspect.destroy()
    end
    local jit = _G.jit
    _G.jit = nil
    list[#list + 1] = ljinspect.status()
    _G.jit = jit
    return list
end

local function parts(tables, name)
    local list = {}
    for _, t in ipairs(tables) do list[#list + 1] = t[name] end
    return seen(list)
end

local function facts()
    local c = read("src/lua_options.c")
    local infos = seen_infos()
    local others, functions = {}, {}
    for name, value in pairs(ljinspect) do
        if type(value) == "function" then functions[name] = true else others[name] = value end
    end
    return functions, {
        ["ljinspect"] = seen { others },
        ["ljinspect.hook_options"] = options(c_names(c, "int lua_options_set_hook("), function(name, value)
            local o = { file = "x.lua", line = 1, log = "x" }
            if name == "at" then o = { func = "string.made_up", log = "x" } end
            o[name] = value
            return message_of(ljinspect.set_hook, o)
        end),
        ["ljinspect.capture"] = options(c_names(c, "static bool take_capture("), function(name, value)
            local o = { file = "x.lua", line = 1, capture = { locals = true } }
            o.capture[name] = value
            return message_of(ljinspect.set_hook, o)
        end),
        ["ljinspect.limits_options"] = options(c_names(c, "int lua_options_limits("), function(name, value)
            local before = ljinspect.limits()
            local message = message_of(ljinspect.limits, { [name] = value })
            ljinspect.limits(before)
            return message
        end),
        ["ljinspect.watch_options"] = options(watch_names(read("src/lua_module.c")), function(name, value)
            local o = { file = "/nowhere/hooks.lua" }
            o[name] = value
            return message_of(ljinspect.watch, o)
        end),
        ["ljinspect.info"] = seen(infos),
        ["ljinspect.finfo"] = parts(infos, "finfo"),
        ["ljinspect.varargs"] = parts(infos, "varargs"),
        ["ljinspect.returns"] = parts(infos, "returns"),
        ["ljinspect.hook"] = seen(seen_hooks()),
        ["ljinspect.limits"] = seen { ljinspect.limits() },
        ["ljinspect.status"] = seen(seen_statuses()),
    }
end

-- ---- What the annotations say ----

-- Which Lua types and which strings `text` allows; `aliases`: name -> text.
local function allowed(text, aliases)
    local types, strings, any_string = {}, {}, false
    local rest = text:gsub("%b()", "()"):gsub("%b<>", "<>")
    for word in rest:gmatch('[^|]+') do
        local alias = aliases[word]
        if alias then
            local a = allowed(alias, aliases)
            for t in pairs(a.types) do types[t] = true end
            for s in pairs(a.strings or {}) do strings[s] = true end
        elseif word:find('^"') then
            types.string = true
            strings[word:sub(2, -2)] = true
        elseif word:find("^fun%(") then
            types["function"] = true
        elseif word == "integer" then
            types.number = true
        elseif word:find("%[%]$") or word:find("^table<") or word:find("^ljinspect%.") then
            types.table = true
        else
            types[word] = true
            any_string = any_string or word == "string"
        end
    end
    return { types = types, strings = not any_string and next(strings) and strings or nil }
end

local function read_annotations(text)
    local said = { classes = {}, problems = {}, aliases = {} }
    local class, params = nil, {}
    for alias, what in text:gmatch("%-%-%-@alias (%S+) ([^\n]+)") do said.aliases[alias] = annotations.split_type(what) end
    for line in text:gmatch("[^\n]*") do
        local name, optional, what = line:match("^%-%-%-@field ([%w_]+)(%??) (.+)$")
        if name then
            if class[name] then table.insert(said.problems, "twice: " .. line) end
            class[name] = allowed(annotations.split_type(what), said.aliases)
            class[name].optional = optional == "?"
        elseif line:find("^%-%-%-@class ") then
            class = {}
            said.classes[line:match("^%-%-%-@class (%S+)")] = class
        elseif line:find("^%-%-%-@param ") then
            params[#params + 1] = line:match("^%-%-%-@param ([%w_]+)")
        elseif line:find("^function ") then
            if table.concat(params, ", ") ~= line:match("%((.-)%)") then
                table.insert(said.problems, "other parameters are described: " .. line)
            end
            params = {}
        end
    end
    said.functions = {}
    local chunk, why = loadstring(text)
    if not chunk then
        table.insert(said.problems, why)
    else
        for name, value in pairs(chunk()) do said.functions[name] = type(value) == "function" or nil end
    end
    return said
end

-- ---- Compared ----

local function compare_field(problem, where, is, said)
    for _, t in ipairs(TYPES) do
        if is.types[t] and not said.types[t] and not said.types.any then problem("%s: may be a %s", where, t) end
        if is.try and said.types[t] and not is.types[t] then problem("%s: a %s is refused", where, t) end
    end
    if is.try then
        if not said.optional then problem("%s: is optional", where) end
        if said.strings and not is.types["function"] then
            for s in pairs(said.strings) do
                local message = is.try(s)
                if message and message:find("expected", 1, true) then problem("%s: %s", where, message) end
            end
            if not is.try("made up") then problem("%s: other strings are taken, too", where) end
        end
        return
    end
    if said.optional == is.always then problem("%s: is %s there", where, is.always and "always" or "not always") end
    for s in pairs(said.strings and is.strings or {}) do
        if not said.strings[s] then problem("%s: may be %q", where, s) end
    end
end

local function compare_names(problem, what, are, said)
    for name in pairs(are) do
        if not said[name] then problem("%s %s: is not told of", what, name) end
    end
    for name in pairs(said) do
        if not are[name] then problem("%s %s: is told of and is not there", what, name) end
    end
end

local function compare(functions, classes, text)
    local said = read_annotations(text)
    local problems = said.problems
    local function problem(format, ...) problems[#problems + 1] = format:format(...) end
    compare_names(problem, "function", functions, said.functions)
    compare_names(problem, "class", classes, said.classes)
    for class, is in pairs(classes) do
        local fields = said.classes[class] or {}
        compare_names(problem, class .. " field", is.fields, fields)
        for name, f in pairs(is.fields) do
            if fields[name] then compare_field(problem, class .. "." .. name, f, fields[name]) end
        end
    end
    return problems
end

-- ---- The test ----

ljinspect.set_logger(function() end)
if ljinspect.status().engine ~= "trap" then
    print("SKIPPED: what filters see at returns needs the trap engine, which does not work in this VM")
    os.exit(77)
end

local functions, classes = facts()
local text = read("editors/lua/ljinspect.lua")
local failed = 0
local function fail(...)
    io.stderr:write("FAILED: ", ...)
    io.stderr:write("\n")
    failed = failed + 1
end
for _, problem in ipairs(compare(functions, classes, text)) do fail(problem) end

-- A line less, one more, and another type is noticed.
local changed, at = 0, 1
local function must_notice(what, other)
    changed = changed + 1
    if #compare(functions, classes, other) == 0 then fail("not noticed: ", what) end
end
while at <= #text do
    local last = text:find("\n", at, true)
    local line, before, after = text:sub(at, last - 1), text:sub(1, at - 1), text:sub(last + 1)
    if line:find("^function ") or line:find("^%-%-%-@field [%w_]") then
        must_notice("without " .. line, before .. after)
    end
    if line:find("^%-%-%-@class ") then
        must_notice("one more below " .. line, before .. line .. "\n---@field made_up? string\n" .. after)
    end
    local name, optional, rest = line:match("^%-%-%-@field ([%w_]+)(%??) (.*)$")
    if name then
        must_notice("another type: " .. line, before .. "---@field " .. name .. optional .. " userdata\n" .. after)
        must_notice("other times: " .. line,
            before .. "---@field " .. name .. (optional == "" and "? " or " ") .. rest .. "\n" .. after)
    end
    at = last + 1
end
must_notice("one more function", (text:gsub("\nreturn ljinspect\n$", "\nfunction ljinspect.made_up() end%0")))
assert(changed > 200, "annotations were found to change")

-- The manual page's fields: a line ".B NAME" below ".TP" or ".TQ" of a section.
local page = read("docs/ljinspect-hooks.5")
for section, class in pairs { FIELDS = "hook_options", CAPTURE = "capture", LIMITS = "limits_options" } do
    local body = assert((page .. ".SH "):match("\n%.SH " .. section .. "\n(.-)%.SH "), section)
    local there = {}
    for name in body:gmatch("\n?%.T[PQ]\n%.B ([%w_]+)%f[\n]") do there[name] = true end
    compare_names(function(...) fail("ljinspect-hooks(5), ", (...):format(select(2, ...))) end, section .. " field",
        classes["ljinspect." .. class].fields, there)
end

-- The drop-in modules: the annotation's functions are the module's.
for _, name in ipairs { "resty.inspect", "resty.inspect.dbg", "apisix.inspect", "apisix.inspect.dbg" } do
    local annotation_of
    function annotation_of(module)
        local env = setmetatable({ require = function(other) return annotation_of(other) end }, { __index = _G })
        local chunk = assert(loadstring(read("editors/lua/" .. module:gsub("%.", "/") .. ".lua"), "=" .. module))
        return setfenv(chunk, env)()
    end
    local real, said = require(name), annotation_of(name)
    compare_names(function(...) fail(name, ": ", (...):format(select(2, ...))) end, "function", real, said)
end

print(("annotations: %d changes noticed, %d failures"):format(changed, failed))
os.exit(failed == 0 and 0 or 1)
