-- What include/ljinspect.h declares, and what its comments say of it. A public name without a comment is an error: the
-- header is where the C API is documented, once.
local header = {}

-- ---- Comments ----

-- The text of "/* ... */" as a list of lines, without what marks them as a comment. Indentation within stays.
local function comment_lines(comment)
    local lines = {}
    local body = comment:sub(3, -3)
    local first = true
    for line in (body .. "\n"):gmatch("([^\n]*)\n") do
        line = first and line:gsub("^ ", "") or line:gsub("^%s*%*", ""):gsub("^ ", "")
        first = false
        lines[#lines + 1] = (line:gsub("%s+$", ""))
    end
    while lines[1] == "" do table.remove(lines, 1) end
    while lines[#lines] == "" do lines[#lines] = nil end
    return lines
end

-- One running text, whatever its layout.
local function running(comment)
    return (table.concat(comment_lines(comment), " "):gsub("^%s+", ""):gsub("%s+", " "))
end

-- Paragraphs {text=}, items {term=, text=} ("  name   what it is", and deeper lines below) and bullets {bullet=true, text=}.
local function blocks_of(comment)
    local blocks, now = {}, nil
    for _, line in ipairs(comment_lines(comment)) do
        local term, text = line:match("^ ? ([%a_][%w_]*)  +(.+)$")
        local bullet = line:match("^ ? %- (.+)$")
        if line == "" then
            now = nil
        elseif term or bullet then
            now = { term = term, bullet = bullet and true, text = text or bullet }
            blocks[#blocks + 1] = now
        elseif now and (not (now.term or now.bullet) or line:find("^   ")) then
            now.text = now.text .. " " .. line:gsub("^%s+", "")
        else
            now = { text = (line:gsub("^%s+", "")) }
            blocks[#blocks + 1] = now
        end
    end
    return blocks
end

-- ---- Declarations ----

local function squeeze(code)
    return (code:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- The members of an enum or a struct, between its braces: {name=, code=, text=, above=}. A comment behind a member is the
-- member's. One on lines of its own, `above` of the first below it, is for these up to one that has its own.
local function members_of(body, separator)
    local members, code, above, covered = {}, "", nil, false
    local at, last_on_line = 1, nil
    local function finish()
        local text = squeeze(code)
        code = ""
        if text == "" then return end
        local name = separator == "," and text:match("^([%w_]+)") or text:match("([%w_]+)$")
        local m = { name = name, code = text, above = above, covered = covered }
        above = nil
        members[#members + 1] = m
        last_on_line = m
    end
    while at <= #body do
        local c = body:sub(at, at)
        if body:sub(at, at + 1) == "/*" then
            local stop = assert(body:find("*/", at, true)) + 1
            local text = running(body:sub(at, stop))
            if separator == "," and squeeze(code) ~= "" then finish() end -- the last has no comma
            if last_on_line then
                last_on_line.text = text
                last_on_line.covered = false
                covered = false
            else
                above = text
                covered = true
            end
            at = stop
        elseif c == separator then
            finish()
        elseif c == "\n" then
            if squeeze(code) == "" then last_on_line = nil end
            code = code .. " "
        else
            code = code .. c
        end
        at = at + 1
    end
    finish()
    return members
end

-- A declaration without its ";".
local function declaration(code, problem)
    local bare = squeeze(code:gsub("/%*.-%*/", " "))
    local d = { code = bare }
    local body = code:match("{(.*)}")
    if bare:find("^LJINSPECT_API ") then
        d.kind = "function"
        d.code = bare:gsub("^LJINSPECT_API ", "")
        d.name = d.code:match("([%w_]+)%(")
    elseif bare:find("^typedef struct [%w_]+ {") then
        d.kind = "struct"
        d.name = bare:match("([%w_]+)$")
        d.members = members_of(body, ";")
        for _, m in ipairs(d.members) do
            if not m.text and not m.covered then problem("%s.%s has no comment", d.name, m.name) end
        end
    elseif bare:find("^enum ") then
        d.kind = "enum"
        d.name = bare:match("^enum ([%w_]+)") or ""
        d.members = members_of(body, ",")
    elseif bare:find("^typedef ") then
        d.kind = "type"
        d.name = bare:match("%(%*([%w_]+)%)") or bare:match("([%w_]+)$")
    else
        problem("what is this? %s", bare)
    end
    return d
end

-- ---- The header ----

-- "LJINSPECT_ERR_ARGUMENT, _NOMEM or _CLOSED": in full.
local function spell_out(h)
    local known = {}
    local function each(f)
        for _, b in ipairs(h.overview) do f(b, "text") end
        for _, section in ipairs(h.sections) do
            for _, group in ipairs(section.groups) do
                for _, b in ipairs(group.blocks) do f(b, "text") end
                for _, d in ipairs(group.declarations) do
                    for _, m in ipairs(d.members or {}) do
                        known[m.name] = true
                        if m.text then f(m, "text") end
                        if m.above then f(m, "above") end
                    end
                end
            end
        end
    end
    each(function() end)
    each(function(t, key)
        t[key] = t[key]:gsub("%f[%w_]_(%u+)%f[^%w_]", function(name)
            return known["LJINSPECT_ERR_" .. name] and "LJINSPECT_ERR_" .. name
        end)
    end)
end

-- {overview=blocks, sections={{title=, groups={{blocks=, declarations={...}}}}}, version=}; and a list of problems, empty
-- where all is documented. A group is what one comment is for.
function header.read(text)
    local problems = {}
    local function problem(format, ...) problems[#problems + 1] = "include/ljinspect.h: " .. format:format(...) end

    local version = assert(text:match('#define LJINSPECT_VERSION "([%d.]+)"'))
    local overview = assert(text:match("^/%*.-%*/"))
    text = text:sub(#overview + 1):gsub("#ifdef __cplusplus.-#endif", "")
    local section = { title = "version and errors", groups = {} }
    local h = { overview = blocks_of(overview), sections = { section }, version = version }
    local at, comment, group = 1, nil, nil

    local function add(d)
        if comment then
            group = { blocks = blocks_of(comment), declarations = {} }
            section.groups[#section.groups + 1] = group
            comment = nil
        elseif not group then
            problem("%s has no comment", d.name)
            return
        end
        table.insert(group.declarations, d)
    end

    while at <= #text do
        local blank = text:match("^\n%s*\n", at)
        local title = text:match("^/%* %-%-%-%- (.-) %-+ %*/", at)
        if blank then
            group = nil
            at = at + 1
        elseif title then
            section = { title = title, groups = {} }
            h.sections[#h.sections + 1] = section
            at = assert(text:find("*/", at, true)) + 2
        elseif text:find("^/%*", at) then
            if comment then problem("a comment that is for nothing: %s", comment) end
            local stop = assert(text:find("*/", at, true)) + 1
            comment = text:sub(at, stop)
            at = stop + 1
        elseif text:find("^#", at) then
            local line = text:match("^[^\n]*", at)
            local name = line:match("^#define (LJINSPECT_[%w_]+) %S")
            if name and name ~= "LJINSPECT_API" then
                add { kind = "macro", name = name, code = name }
            end
            at = at + #line
        elseif text:find("^%s", at) then
            at = at + 1
        else
            local stop, depth, here = nil, 0, at
            while not stop do
                local c = text:sub(here, here)
                if text:find("^/%*", here) then
                    here = assert(text:find("*/", here, true)) + 1
                elseif c == "{" then
                    depth = depth + 1
                elseif c == "}" then
                    depth = depth - 1
                elseif c == ";" and depth == 0 then
                    stop = here
                elseif c == "" then
                    error("include/ljinspect.h: no end of: " .. text:sub(at, at + 60))
                end
                here = here + 1
            end
            add(declaration(text:sub(at, stop - 1), problem))
            at = stop + 1
        end
    end
    spell_out(h)
    return h, problems
end

return header
