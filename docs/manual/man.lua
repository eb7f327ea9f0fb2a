-- Writing manual pages: man(7), as groff and mandoc read it.
local man = {}

-- A text as it is: no letter of it is a command.
function man.plain(text)
    return (text:gsub("[\\`^~]", { ["\\"] = "\\e", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti" }))
end

-- The same for what readers copy: a "-" is a minus then.
function man.code(text)
    return (man.plain(text):gsub("%-", "\\-"))
end

function man.bold(text)
    return "\\fB" .. man.code(text) .. "\\fP"
end
local bold = man.bold

-- Prose: what stands in backquotes is bold, and so are our names.
function man.prose(text)
    local out = {}
    for before, code in (text .. "``"):gmatch("([^`]*)`([^`]*)`") do
        before = man.plain(before):gsub("%f[%w_]LJINSPECT_[%u_]*%u", bold):gsub("%f[%w_]ljinspect_[%l_]+%l", bold)
            :gsub("%f[%w_]luaopen_ljinspect", bold)
            :gsub("ljinspect[%l_-]*%(%d%)", function(page)
                return bold(page:match("^[^(]+")) .. page:match("%(%d%)")
            end)
        out[#out + 1] = before
        if code ~= "" then out[#out + 1] = bold(code) end
    end
    return (table.concat(out):gsub("\\fB\\fB", "\\fB"):gsub("\\fP\\fP", "\\fP"))
end

-- A line that is none of troff's requests.
local function safe(line)
    return line:find("^[.']") and "\\&" .. line or line
end

-- A page that is written line by line.
function man.page(name, section, date, version, what)
    local lines = {}
    local page = {}

    page.code = man.code

    function page.line(text) lines[#lines + 1] = text end

    function page.section(title) page.line(".SH " .. title:upper()) end

    function page.subsection(title) page.line(".SS " .. man.code(title)) end

    -- Prose, wrapped for who reads the source.
    function page.text(text)
        local line = ""
        for word in man.prose(text):gmatch("%S+") do
            if line ~= "" and #line + #word > 90 then
                page.line(safe(line))
                line = word
            else
                line = line == "" and word or line .. " " .. word
            end
        end
        if line ~= "" then page.line(safe(line)) end
    end

    function page.paragraph(text)
        page.line(".PP")
        page.text(text)
    end

    function page.item(term, text)
        page.line(".TP")
        page.line(".B " .. man.code(term))
        page.text(text)
    end

    function page.bullet(text)
        page.line(".IP \\(bu 2")
        page.text(text)
    end

    -- Text as it is laid out.
    function page.display(text)
        page.line(".PP")
        page.line(".nf")
        for line in (text .. "\n"):gmatch("([^\n]*)\n") do page.line(bold(line)) end
        page.line(".fi")
    end

    -- Blocks as comments.lua has them.
    function page.blocks(blocks)
        for _, b in ipairs(blocks) do
            if b.term then
                page.item(b.term, b.text)
            elseif b.bullet then
                page.bullet(b.text)
            else
                page.paragraph(b.text)
            end
        end
    end

    function page.see_also(pages)
        page.section("see also")
        for i, p in ipairs(pages) do
            local n, s = p:match("^(.+)%((%d)%)$")
            page.line((".BR %s (%s)%s"):format(man.code(n), s, i < #pages and "," or ""))
        end
    end

    function page.finish()
        local head = ('.\\" Made from the sources by docs/manual/pages.lua.\n.TH %s %d %s "ljinspect %s" "%s"\n.nh\n.ad l\n')
            :format(man.code(name:upper()), section, date, version, what)
        return head .. table.concat(lines, "\n") .. "\n"
    end

    return page
end

return man
