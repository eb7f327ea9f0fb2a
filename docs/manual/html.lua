-- Makes the manual as HTML: html.lua SOURCE MAN OUT. MAN has what pages.lua made. Needs mandoc and lowdown, and no network; what
-- comes of it needs none either: each page has all that it shows, and links lead to its neighbours.
local source, made, out = arg[1], arg[2], arg[3]

local function run(command)
    local p = assert(io.popen(command .. "; echo STATUS $?"))
    local text = p:read("*a")
    p:close()
    local body, status = text:match("^(.*)STATUS (%d+)\n$")
    if status ~= "0" then
        io.stderr:write("failed: ", command, "\n")
        os.exit(1)
    end
    return body
end

local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read(path)
    local f = assert(io.open(path, "rb"))
    local text = f:read("*a")
    f:close()
    return text
end

local function exists(path)
    local f = io.open(path, "rb")
    if f then f:close() end
    return f ~= nil
end

local function write(name, text)
    local f = assert(io.open(out .. "/" .. name, "wb"))
    assert(f:write(text))
    assert(f:close())
end

local function lines_of(command)
    local list = {}
    for line in run(command):gmatch("[^\n]+") do list[#list + 1] = line end
    return list
end

-- ---- A page ----

local STYLE = [[
:root { color-scheme: light dark; --text: #1b1b1f; --back: #fcfcfa; --dim: #5c5c66; --line: #d5d5d0; --code: #f0f0ec;
  --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --text: #dededa; --back: #17181b; --dim: #9a9aa2; --line: #3a3b40;
  --code: #22242a; --link: #82b7f0; } }
html { background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
body { max-width: 80ch; margin: 0 auto; padding: 0 1rem 4rem; overflow-wrap: break-word; }
nav { border-bottom: 1px solid var(--line); padding: .8rem 0; margin-bottom: 1.5rem; font-size: .9rem; }
nav a { margin-right: 1rem; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
a.permalink { color: inherit; }
h1 { font-size: 1.5rem; margin: 2rem 0 .6rem; } h2 { font-size: 1.2rem; margin: 1.8rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
h1.Sh { font-size: 1.15rem; } h2.Ss { font-size: 1.05rem; }
pre, code { font-family: ui-monospace, monospace; font-size: .92em; }
code { background: var(--code); padding: .1em .25em; border-radius: 3px; }
pre { background: var(--code); padding: .7rem .9rem; border-radius: 4px; overflow-x: auto; line-height: 1.4; }
pre code { background: none; padding: 0; }
dt { margin-top: .7rem; } dd { margin-left: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
table.head, table.foot { display: table; width: 100%; color: var(--dim); font-size: .85rem; }
table.head td, table.foot td { border: 0; width: 33%; }
td.head-vol, td.foot-date { text-align: center; } td.head-rtitle, td.foot-os { text-align: right; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; color: var(--dim); }
img { max-width: 100%; }
]]

local version = assert(read(source .. "/include/ljinspect.h"):match('#define LJINSPECT_VERSION "([%d.]+)"'))

local function page(name, title, body)
    write(name, table.concat({
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>', title,
        "</title>\n<style>\n", STYLE, "</style>\n</head>\n<body>\n",
        '<nav><a href="index.html">ljinspect ', version, "</a>\n",
        '<a href="ljinspect.1.html">command</a>\n<a href="ljinspect-lua.3.html">Lua</a>\n',
        '<a href="ljinspect.3.html">C</a>\n<a href="ljinspect-hooks.5.html">hooks files</a>\n',
        '<a href="messages.html">messages</a></nav>\n', body, "</body>\n</html>\n",
    }))
end

-- ---- What there is ----

local guides = { { file = "README.md", page = "readme.html" } }
for _, file in ipairs(lines_of("cd " .. quoted(source) .. " && find docs -name '*.md' | LC_ALL=C sort")) do
    local name = file == "docs/README.md" and "guides.html" or file:gsub("^docs/", ""):gsub("/", "-"):gsub("%.md$", ".html")
    guides[#guides + 1] = { file = file, page = name }
end
local page_of_guide = {}
for _, g in ipairs(guides) do page_of_guide[g.file] = g.page end

local manuals = { source .. "/docs/ljinspect.1", source .. "/docs/ljinspect-hooks.5" }
for _, file in ipairs(lines_of("find " .. quoted(made) .. "/man3 -name '*.3' | LC_ALL=C sort")) do
    manuals[#manuals + 1] = file
end
local page_of, alias = { ["ljinspect-messages.7"] = "messages.html" }, {}
for _, file in ipairs(manuals) do
    local name = file:match("[^/]+$")
    local other = read(file):match("^%.so man3/(%S+)")
    alias[name] = other
    page_of[name] = not other and name .. ".html" or nil
end
local function page_of_name(name)
    return page_of[name] or (alias[name] and alias[name] .. ".html")
end

-- ---- Manual pages ----

local names = {} -- for the index: {name=, to=}

local function link_names(body)
    -- Other pages: NAME(3).
    body = body:gsub("<b>([%l_-]+)</b>(%((%d)%))", function(name, shown, section)
        local to = page_of_name(name .. "." .. section)
        return to and ('<a href="%s"><b>%s</b>%s</a>'):format(to, name, shown) or nil
    end)
    -- Functions and types in running text.
    return (body:gsub("<b>(ljinspect_[%l_]+)</b>(%(?%)?)", function(name, brackets)
        local to = page_of_name(name .. ".3")
        if not to or brackets == "(" or brackets == ")" then return nil end
        local at = brackets == "()" and "#" .. name .. "()" or ""
        return ('<a href="%s%s"><b>%s</b>%s</a>'):format(to, at, name, brackets)
    end))
end

local function manual(file)
    local name = file:match("[^/]+$")
    if alias[name] then return end
    local body = run("mandoc -Thtml -Ofragment " .. quoted(file))
    body = body:gsub("<pre>.-</pre>", function(pre) return (pre:gsub("\n<br/>\n", "\n"):gsub("<br/>", "\n")) end)
    for id in body:gmatch('<h2 class="Ss" id="([^"]+)">') do
        if id:find("^ljinspect[_.][%l_]+%(") then
            names[#names + 1] = { name = id:gsub("_%(", "("):gsub(",_", ", "), to = name .. ".html#" .. id }
        end
    end
    page(name .. ".html", name:gsub("%.(%d)$", "(%1)"), link_names(body))
end

-- ---- Guides ----

-- What `to`, as it stands in the file `from`, leads to in the manual: nil where that is not part of it.
local function target(from, to)
    if to:find("^https?:") or to:find("^#") then return to end
    local path, at = to:match("^([^#]*)(#?.*)$")
    local parts = {}
    for part in ((from:match("^(.*/)") or "") .. path):gmatch("[^/]+") do
        if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
    end
    path = table.concat(parts, "/")
    if page_of_guide[path] then return page_of_guide[path] .. at end
    if path == "include/ljinspect.h" then return "ljinspect.3.html" end
    local name = path:match("^docs/(ljinspect[%l-]*%.%d)$")
    return name and page_of[name] or nil
end

local function guide(g)
    local body = run("lowdown --out-no-smarty -Thtml " .. quoted(source .. "/" .. g.file))
    body = body:gsub('<a href="([^"]*)">(.-)</a>', function(to, text)
        local there = target(g.file, (to:gsub("&#47;", "/")))
        return there and ('<a href="%s">%s</a>'):format(there, text) or text
    end)
    body = body:gsub('<img src="([^"]+)"', function(path)
        path = path:gsub("&#47;", "/")
        local file = source .. "/" .. (g.file:match("^(.*/)") or "") .. path
        assert(exists(file), g.file .. " shows what is not there: " .. path)
        local name = path:match("[^/]+$")
        write(name, read(file))
        return '<img src="' .. name .. '"'
    end)
    g.title = body:match("<h1[^>]*>(.-)</h1>") or g.file
    page(g.page, g.title:gsub("<[^>]*>", ""), body)
end

-- ---- All of it ----

for _, file in ipairs(manuals) do manual(file) end
for _, g in ipairs(guides) do guide(g) end

local index = { "<h1>ljinspect ", version, "</h1>\n<p>Breakpoints in running LuaJIT programs.</p>\n<h2>Reference</h2>\n<ul>\n" }
for _, entry in ipairs {
    { "ljinspect.1", "the command" }, { "ljinspect-lua.3", "the Lua module" }, { "ljinspect.3", "the C library" },
    { "ljinspect-hooks.5", "hooks files, and hooks in table form" },
    { "ljinspect-messages.7", "what it logs, what that means, and what to do" },
} do
    local shown = entry[1]:gsub("%.(%d)$", "(%1)")
    index[#index + 1] = ('<li><a href="%s">%s</a>: %s</li>\n'):format(page_of[entry[1]], shown, entry[2])
end
index[#index + 1] = "</ul>\n<h2>Guides</h2>\n<ul>\n"
for _, g in ipairs(guides) do
    if g.page ~= "messages.html" then
        index[#index + 1] = ('<li><a href="%s">%s</a></li>\n'):format(g.page, g.file == "README.md" and "Overview" or g.title)
    end
end
index[#index + 1] = "</ul>\n<h2>Functions</h2>\n<ul>\n"
table.sort(names, function(a, b) return a.name < b.name end)
for _, n in ipairs(names) do index[#index + 1] = ('<li><a href="%s">%s</a></li>\n'):format(n.to, n.name) end
index[#index + 1] = "</ul>\n"
page("index.html", "ljinspect " .. version, table.concat(index))
