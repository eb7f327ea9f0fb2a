-- Makes manual pages from where things are documented: pages.lua SOURCE OUT
--
--   include/ljinspect.h       OUT/man3/ljinspect.3, a page for each part of the header, and a link for each name
--   editors/lua/*.lua         OUT/man3/ljinspect-lua.3
--   docs/messages.md          OUT/man7/ljinspect-messages.7
-- OUT has the directories man3 and man7. Any Lua runs it. What has no comment is named, and the exit status is 1.
local source, out = arg[1], arg[2]
package.path = source .. "/docs/manual/?.lua;" .. package.path

local man = require "man"
local header = require "header"
local annotations = require "annotations"
local messages = require "messages"

local function read(path)
    local f = assert(io.open(source .. "/" .. path, "rb"))
    local text = f:read("*a")
    f:close()
    return text
end

local function write(name, text)
    local f = assert(io.open(out .. "/man" .. name:sub(-1) .. "/" .. name, "wb"))
    assert(f:write(text))
    assert(f:close())
end

local problems = {}
local function collect(result, list_of)
    for _, p in ipairs(list_of) do problems[#problems + 1] = p end
    return result
end

local c = collect(header.read(read("include/ljinspect.h")))
local lua = collect(annotations.read(read("editors/lua/ljinspect.lua")))
local date = assert(read("docs/ljinspect.1"):match("\n%.TH LJINSPECT 1 (%S+)"), "docs/ljinspect.1 has no date")

local function new_page(name, section, what)
    return man.page(name, section, date, c.version, what)
end

-- ---- The C library ----

-- A prototype in lines of 72 letters at most: with the page's indentation they fit into 80.
local function folded(code)
    if #code <= 72 then return code end
    local head, rest = code:match("^(.-%()(.*)$")
    local indent, line, lines = (" "):rep(8), head, {}
    for part in rest:gmatch("[^,]+,? ?") do
        if #line + #part > 73 then
            lines[#lines + 1] = line:gsub(" $", "")
            line = indent .. part
        else
            line = line .. part
        end
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\n")
end

local function definition(d)
    if d.kind == "enum" then return d.name ~= "" and "enum " .. d.name .. ";" or nil end
    if d.kind == "struct" then return "typedef struct " .. d.name .. " " .. d.name .. ";" end
    if d.kind == "macro" then return "#define " .. d.name end
    return folded(d.code .. ";")
end

local function each_declaration(section, f)
    for _, group in ipairs(section.groups) do
        for _, d in ipairs(group.declarations) do f(d, group) end
    end
end

local function title_of(d)
    if d.kind == "function" then return d.name .. "()" end
    if d.kind == "enum" then
        return d.name ~= "" and "enum " .. d.name or d.members[1].name:match("^(.*_)") .. "*"
    end
    return d.name
end

local function members(page, d)
    for _, m in ipairs(d.members or {}) do
        if m.above then page.paragraph(m.above) end
        page.item(m.code, m.text or "")
    end
end

local function first_function(section)
    local name
    each_declaration(section, function(d)
        if d.kind == "function" then name = name or d.name end
    end)
    return name
end

-- Its text up to the first full stop.
local function brief(group)
    local text = group.blocks[1].text
    return (text:match("^(.-[^.]%.) ") or text):gsub("%.$", "")
end

local function c_page(section)
    local name = first_function(section)
    local page = new_page(name, 3, "Library Functions")
    local names, others = {}, {}
    each_declaration(section, function(d)
        if d.kind == "function" then names[#names + 1] = d.name end
        if d.name ~= "" and d.name ~= name then others[#others + 1] = d.name end
    end)
    page.section("name")
    page.line(man.code(table.concat(names, ", ")) .. " \\- " .. man.plain(section.title:gsub("^%u%l", string.lower)))
    page.section("synopsis")
    local synopsis = { "#include <ljinspect.h>", "" }
    each_declaration(section, function(d)
        synopsis[#synopsis + 1] = definition(d)
    end)
    page.line(".nf")
    for _, text in ipairs(synopsis) do
        for line in (text .. "\n"):gmatch("([^\n]*)\n") do page.line(line == "" and ".PP" or man.bold(line)) end
    end
    page.line(".fi")
    page.section("description")
    page.text("The rules for all functions, on threads, errors and the Lua stack, are in ljinspect(3).")
    for _, group in ipairs(section.groups) do
        local titles = {}
        for _, d in ipairs(group.declarations) do titles[#titles + 1] = title_of(d) end
        local blocks = group.blocks
        page.subsection(table.concat(titles, ", "))
        page.text(blocks[1].text)
        page.blocks({ unpack(blocks, 2) })
        for _, d in ipairs(group.declarations) do members(page, d) end
    end
    page.see_also { "ljinspect(3)", "ljinspect-lua(3)", "ljinspect-messages(7)" }
    write(name .. ".3", page.finish())
    for _, other in ipairs(others) do
        if other:find("^l") then write(other .. ".3", ".so man3/" .. name .. ".3\n") end
    end
end

local function c_overview()
    local page = new_page("ljinspect", 3, "Library Functions")
    page.section("name")
    page.line("ljinspect \\- breakpoints in running LuaJIT programs, from C")
    page.section("synopsis")
    page.line(".nf")
    page.line(".B #include <ljinspect.h>")
    page.line(".PP")
    page.line(".B cc host.c $(pkg\\-config \\-\\-cflags \\-\\-libs ljinspect)")
    page.line(".fi")
    page.section("description")
    page.text("The C library. Each part has a page; `man ljinspect_watch` finds the page of any function and structure.")
    page.blocks(c.overview)
    for _, section in ipairs(c.sections) do
        page.section(section.title:match("^[^:]+"))
        page.line("Page")
        page.line((".BR %s (3)."):format(first_function(section)))
        for _, group in ipairs(section.groups) do
            local names = {}
            for _, d in ipairs(group.declarations) do
                if d.kind == "function" then names[#names + 1] = d.name .. "()" end
            end
            if #names > 0 then page.item(table.concat(names, ", "), brief(group)) end
        end
    end
    page.section("environment")
    page.item("LJINSPECT_HOOKS_FILE", "the hooks file of ljinspect_watch() without one")
    page.item("LJINSPECT_ENGINE", "`trap` or `line`: the engine of VMs for which ljinspect_set_engine() is not called")
    page.line(".PP")
    page.text("A program with more rights than its user has (set-user-id and the like) takes no notice of them.")
    page.section("example")
    page.line("A filter in C, and a host that embeds LuaJIT: examples/c\\-host of the sources.")
    page.see_also { "ljinspect(1)", "ljinspect-lua(3)", "ljinspect-hooks(5)", "ljinspect-messages(7)" }
    write("ljinspect.3", page.finish())
end

-- ---- The Lua module ----

local function typed(of, optional)
    return (of:gsub("|", " | ")) .. ((optional and not of:find("%f[%w]nil%f[%W]")) and ", may be nil" or "")
end

local function described(of, optional, text)
    return "(" .. typed(of, optional) .. ")" .. (text ~= "" and " " .. text or "")
end

-- Below a title: the first begins at once.
local function paragraphs(page, texts)
    for i, text in ipairs(texts) do
        if i == 1 then page.text(text) elseif text ~= "" then page.paragraph(text) end
    end
end

local function lua_function(page, f)
    page.subsection(("%s(%s)"):format(f.name, f.parameters))
    paragraphs(page, f.text)
    for _, p in ipairs(f.params) do page.item(p.name, described(p.type, p.optional, p.text)) end
    local returns = {}
    for _, r in ipairs(f.returns) do
        returns[#returns + 1] = typed(r.type:gsub("%?$", ""), r.type:find("%?$")) ..
            (r.text ~= "" and ": " .. r.text or (r.name and r.name ~= r.type and ": " .. r.name or ""))
    end
    if #returns > 0 then page.item("Returns", table.concat(returns, "; ")) end
    for _, o in ipairs(f.overloads) do
        page.paragraph("Or: `" .. f.name .. o:gsub("^fun", "") .. "`")
    end
end

local function lua_page()
    local page = new_page("ljinspect-lua", 3, "Lua Modules")
    page.section("name")
    page.line("ljinspect\\-lua \\- breakpoints in running LuaJIT programs, from Lua")
    page.section("synopsis")
    page.line(".nf")
    page.line('.B local ljinspect = require \\(dqljinspect\\(dq')
    page.line(".fi")
    page.section("description")
    page.text("What the Lua module has. Functions that fail return nil and a message; arguments of a wrong type raise an error that " ..
        "names the argument. A name with a question mark in an editor is one that may be nil.")
    page.section("functions")
    for _, f in ipairs(lua.functions) do lua_function(page, f) end
    page.section("fields")
    for _, f in ipairs(lua.module.fields) do page.item("ljinspect." .. f.name, described(f.type, f.optional, f.text)) end
    page.section("types")
    for _, t in ipairs(lua.types) do
        page.subsection(t.name)
        local texts = { unpack(t.text) }
        if t.alias then texts[#texts + 1] = "`" .. t.alias:gsub("|", " | ") .. "`" end
        paragraphs(page, texts)
        for _, f in ipairs(t.fields) do
            page.item(f.name, described(f.type, f.optional, f.text))
        end
    end
    page.section("drop-in modules")
    page.line("Hooks files for others run unchanged:")
    for _, name in ipairs { "resty.inspect", "apisix.inspect", "resty.inspect.dbg", "apisix.inspect.dbg" } do
        local text = read("editors/lua/" .. name:gsub("%.", "/") .. ".lua")
        local what = assert(text:match("\n%-%- ([^\n]*)\n"), name)
        local functions = {}
        for f in text:gmatch("\n[%l.]*%f[%w]([%w_]+) = ljinspect%.") do functions[#functions + 1] = f end
        for f in text:gmatch("\nfunction %w+%.([%w_]+%(.-%))") do functions[#functions + 1] = f end
        page.item(name, what .. (#functions > 0 and " Has " .. table.concat(functions, ", ") .. "." or ""))
    end
    page.see_also { "ljinspect(1)", "ljinspect(3)", "ljinspect-hooks(5)", "ljinspect-messages(7)" }
    write("ljinspect-lua.3", page.finish())
end

-- ---- Messages ----

local function messages_page()
    local page = new_page("ljinspect-messages", 7, "Miscellaneous")
    page.section("name")
    page.line("ljinspect\\-messages \\- what ljinspect logs, what it means, and what to do")
    local blocks = messages.read(read("docs/messages.md"))
    assert(blocks[1].level == 1, "docs/messages.md: no title")
    messages.write(page, blocks)
    page.see_also { "ljinspect(1)", "ljinspect(3)", "ljinspect-lua(3)", "ljinspect-hooks(5)" }
    write("ljinspect-messages.7", page.finish())
end

unpack = unpack or table.unpack -- Lua 5.2 and later
c_overview()
for _, section in ipairs(c.sections) do c_page(section) end
lua_page()
messages_page()

for _, p in ipairs(problems) do io.stderr:write(p, "\n") end
os.exit(#problems == 0 and 0 or 1)
