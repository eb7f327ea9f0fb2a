-- A host that has set a locale with a decimal comma: what is a number in JSON, and in a line of text, is written with a point.
local ljinspect = require "ljinspect"
local lib = (arg[0]:match("^(.*)/") or ".") .. "/lib/"
local check = dofile(lib .. "check.lua")
local json = dofile(lib .. "json.lua")
local ffi_there, ffi = pcall(require, "ffi")
if not ffi_there then
    print("SKIPPED: this LuaJIT has no ffi, with which the locale is set")
    os.exit(77)
end
ffi.cdef "char *setlocale(int category, const char *name); int setenv(const char *, const char *, int); int snprintf(char *, size_t, const char *, ...);"

-- Made here: few machines have one. Two bytes stand for the point in the second.
local dir = io.popen("mktemp -d"):read("*l")
local function write(name, text)
    local f = assert(io.open(dir .. "/" .. name, "w"))
    f:write(text)
    f:close()
end
local codes = { '<code_set_name> UTF-8\n<comment_char> %\n<escape_char> /\n<mb_cur_max> 6\n<mb_cur_min> 1\nCHARMAP\n' }
for c = 0, 127 do codes[#codes + 1] = ("<U%04X> /x%02x C%d\n"):format(c, c, c) end
codes[#codes + 1] = "<U066B> /xd9/xab ARABIC\nEND CHARMAP\n"
write("codes", table.concat(codes))
for name, point in pairs { comma = "002C", two = "066B" } do
    write("source", ('LC_NUMERIC\ndecimal_point "<U%s>"\nthousands_sep ""\ngrouping -1\nEND LC_NUMERIC\n'):format(point))
    local ok = os.execute(("cd %s && localedef -c -f ./codes -i ./source ./%s >log 2>&1; test -f %s/LC_NUMERIC"):format(dir, name, name))
    if ok ~= 0 and ok ~= true then
        print("SKIPPED: localedef makes no locale here: " .. io.open(dir .. "/log"):read("*a"))
        os.execute("rm -rf " .. dir)
        os.exit(77)
    end
end
ffi.C.setenv("LOCPATH", dir, 1)

local log
ljinspect.set_logger(function(_, message) log[#log + 1] = message end)
local f = assert(loadstring("local x = ...\nreturn x", "@work.lua"))
local LC_NUMERIC, buffer = 1, ffi.new("char[32]")
for _, name in ipairs { "comma", "two" } do
    log = {}
    check.truthy(ffi.C.setlocale(LC_NUMERIC, name) ~= nil, name)
    ffi.C.snprintf(buffer, 32, "%.1f", ffi.new("double", 1.5))
    check.truthy(ffi.string(buffer) ~= "1.5", "the locale is in force")

    ljinspect.set_hook { file = "work.lua", line = 2, log = "x={x}", capture = { locals = true, format = "json" }, hits = 1 }
    f(1.5)
    check.equal(#log, 1)
    local line = json.read((log[1]:gsub("^ljinspect: ", "")))
    check.equal(line.message, "x=1.5")
    check.equal(line.locals[1].value.value, 1.5)

    ljinspect.set_hook { file = "work.lua", line = 2, log = "{x} {-x} {x * 1e200} {1 / 0} {-1 / 0}", hits = 1 }
    f(2.25)
    check.equal(log[2], "ljinspect: work.lua#2: 2.25 -2.25 2.25e+200 inf -inf")

    ljinspect.set_hook { file = "work.lua", line = 2, histogram = "x", hits = 2 }
    f(0.5)
    f(0.25)
    check.matches(log[3], "^ljinspect: work.lua#2: 2 hits in %d+%.%d s %(%d+%.%d/s%); x: min 0.25, mean 0.375, max 0.5, <1: 2$")
    ffi.C.setlocale(LC_NUMERIC, "C")
end
os.execute("rm -rf " .. dir)
check.done()
