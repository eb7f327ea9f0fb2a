-- Each message that the sources can print has a place in docs/messages.md, with what it means; and each that is there is
-- one that the sources print. At last each message is taken out of the page, and out of the sources: both must be noticed.
local source = assert(os.getenv("LJINSPECT_SOURCE"), "LJINSPECT_SOURCE: the top of the tree")
package.path = source .. "/docs/manual/?.lua;" .. package.path
local messages = require "messages"

local function read(path)
    local f = assert(io.open(source .. "/" .. path, "rb"))
    local text = f:read("*a")
    f:close()
    return text
end

-- ---- What the sources print ----

-- Functions that print a message: the first string that they are given is the whole of it, others are put into it. And those
-- that are given a part of one.
local PRINTERS = { log_message = true, log = true, config_say = true, cli_fail = true, cli_say = true, fprintf = true,
    fputs = true, dprintf = true, perror = true }
local IN_PART = { refuse = true, sink_failed = true }
-- One name, two meanings.
local function prints(path, name)
    return PRINTERS[name] or name == "fail" and path:find("^src/preload/")
end
local function prints_in_part(path, name)
    return IN_PART[name] or name == "fail" and path:find("^src/cli/")
end

-- In these files strings are assigned or returned, which become part of messages.
local REASONS = {
    { "^src/vm/", "%*why = ", ";" },
    { "^src/error%.c$", "return ", ";" },
    { "^src/trust%.c$", "snprintf%(reason,", ";" },
    { "^src/cli/profile_write%.c$", "%*why = ", ";" },
    { "^src/time_limit%.c$", "luaL_error%(L, ", "%)" },
}

-- The strings of a piece of C, each with its neighbours joined: {text...}.
local function strings(code)
    local list, from, last = {}, 1, nil
    code = code:gsub('"%s*PRIu64%s*"', "llu"):gsub('"%s*PRI%w+', 'llu"'):gsub("CONFIG_LIBRARY", '"libljinspect.so.0"')
    while true do
        local start = code:find('"', from, true)
        if not start then return list end
        local stop = start + 1
        while code:sub(stop, stop) ~= '"' do stop = stop + (code:sub(stop, stop) == "\\" and 2 or 1) end
        local text = code:sub(start + 1, stop - 1):gsub('\\"', '"'):gsub("\\n", "\n"):gsub("\\r", "\r")
        if last and code:sub(from, start - 1):find("^%s*$") then
            list[#list] = list[#list] .. text
        else
            list[#list + 1] = text
        end
        last, from = true, stop + 1
    end
end

local function line_of(text, at)
    return select(2, text:sub(1, at):gsub("\n", "")) + 1
end

-- What shows progress on a terminal is no message.
local function is_progress(text)
    return text:find("^[\r\n]") or text:find("\27", 1, true) or text:find("\\033", 1, true)
end

-- A format that has words of its own, and more than one word where it is only a part.
local function has_words(text, whole)
    local bare = text:gsub("%%[%d.*-]*z?[a-z]", " ")
    return bare:find(whole and "%a%a%a" or "%a%a.*%A.*%a%a") ~= nil
end

-- {text=, where=, whole=} of each: the whole message, or a part of one.
local function printed(files)
    local list = {}
    for _, file in ipairs(files) do
        local path, code = file.path, file.text:gsub("/%*.-%*/", function(c) return c:gsub("[^\n]", " ") end)
        local function add(piece, at, reason)
            local all = strings(piece)
            for i, text in ipairs(all) do
                local whole = i == 1 and not reason
                text = text:gsub("^ljinspect: ", ""):gsub("^ljinspect %l+ %-%-help", "ljinspect %%s --help")
                for line in text:gmatch("[^\n]+") do
                    if not is_progress(text) and has_words(line, whole) then
                        list[#list + 1] = { text = line, whole = whole, where = path .. ":" .. line_of(code, at) }
                    end
                end
            end
        end
        for at, name, call in code:gmatch("()%f[%w_]([%l_]+)(%b())") do
            local elsewhere = name == "fprintf" and not call:find("^%(%s*stderr") or
                name == "fputs" and not call:find("stderr%)$")
            if prints(path, name) and not elsewhere then add(call, at) end
            if prints_in_part(path, name) then add(call, at, true) end
        end
        for _, reason in ipairs(REASONS) do
            if path:find(reason[1]) then
                for at, piece in code:gmatch("()" .. reason[2] .. "(.-)" .. reason[3]) do add(piece, at, true) end
            end
        end
    end
    return list
end

-- ---- What the page has ----

-- As a pattern for what the page says of it: there, each "%s" is words that say what stands there.
local function pattern_of(text)
    local out = text:gsub("%%%%", "\1"):gsub("%%%.%*s", "\2"):gsub("%%[%d.]*%l+", "\2")
    out = out:gsub("[%p]", "%%%0"):gsub("\1", "%%%%"):gsub("\2", ".-")
    return out
end

local function messages_of(text)
    local list = {}
    for _, b in ipairs(messages.read(text)) do
        if b.message then list[#list + 1] = b.message end
    end
    return list
end

local function is_in(p, message)
    local pattern = pattern_of(p.text)
    return message:find(p.whole and "^" .. pattern .. "$" or pattern) ~= nil
end

local function problems_of(list, page)
    local problems, used, all = {}, {}, messages_of(page)
    for _, p in ipairs(list) do
        local found = false
        for _, m in ipairs(all) do
            if is_in(p, m) then
                found = true
                used[m] = true
            end
        end
        if not found then problems[#problems + 1] = ("%s: docs/messages.md has no: %s"):format(p.where, p.text) end
    end
    for _, m in ipairs(all) do
        if not used[m] then problems[#problems + 1] = "docs/messages.md has what is printed nowhere: " .. m end
    end
    return problems
end

-- ---- The test ----

local files = {}
local find = assert(io.popen("cd '" .. source .. "' && find src -name '*.c' -o -name '*.h' | sort"))
for path in find:lines() do files[#files + 1] = { path = path, text = read(path) } end
find:close()
local page = read("docs/messages.md")
local list = printed(files)

local failed = 0
local function fail(...)
    io.stderr:write("FAILED: ", ...)
    io.stderr:write("\n")
    failed = failed + 1
end
for _, problem in ipairs(problems_of(list, page)) do fail(problem) end
local blocks = messages.read(page)
for i, b in ipairs(blocks) do
    local below = blocks[i + 1]
    if b.kind == "message" and (not below or below.kind ~= "paragraph") then
        fail("docs/messages.md says nothing of: ", b.message)
    end
end

-- Without what it says of a message, each is missed.
for _, p in ipairs(list) do
    local less = {}
    for line in (page .. "\n"):gmatch("([^\n]*)\n") do
        local message = line:match("^### `(.+)`$") or line:match("^%- `([^`]+)`")
        if not (message and is_in(p, message)) then less[#less + 1] = line end
    end
    local noticed = false
    for _, problem in ipairs(problems_of({ p }, table.concat(less, "\n"))) do
        noticed = noticed or problem:find(p.where .. ": docs/messages.md has no", 1, true) ~= nil
    end
    if not noticed then fail("not noticed that the page is without: ", p.text) end
end

-- One more is noticed, in whatever way it is printed.
local made_up = {
    ["src/api.c"] = { 'log_message(c, L, LJINSPECT_WARN, "%s: made up for a test", h->key);',
        'e->base.host.log(e->base.host.owner, L, LJINSPECT_WARN,\n    "made up "\n    "for a test: %d", 1);',
        'log_message(c, L, LJINSPECT_INFO, "hook%s", n == 1 ? "" : " made up for a test");' },
    ["src/preload/config.c"] = { 'config_say("made up for a test");' },
    ["src/cli/gc.c"] = { 'return cli_fail(CLI_FAILED, "made up for a test: %" PRIu64, n);',
        'fprintf(stderr, "ljinspect: made up for a test\\n");', 'fputs("made up for a test\\n", stderr);' },
    ["src/trust.c"] = { 'refuse(c, "file", path, "is made up for a test");' },
    ["src/vm/vm_learn.c"] = { '*why = "it is made up for a test";' },
    ["src/error.c"] = { 'return "made up for a test";' },
}
for path, codes in pairs(made_up) do
    for _, code in ipairs(codes) do
        local problems = table.concat(problems_of(printed { { path = path, text = "\n" .. code .. "\n" } }, page), "\n")
        if not problems:find("has no: [^\n]*made up") then fail("not noticed in ", path, ": ", code) end
    end
end
local stale = table.concat(problems_of(list, page .. "\n### `nothing prints this`\n\nText.\n"), "\n")
if not stale:find("printed nowhere: nothing prints this", 1, true) then fail("not noticed: what is printed nowhere") end

io.stdout:write(#list, " messages and parts of messages\n")
assert(#list > 150, "fewer than there were")
os.exit(failed == 0 and 0 or 1)
