-- What the program names and holds cannot make up lines of a log, nor send commands to the terminal that shows it.
local ljinspect = require "ljinspect"
local lib = (arg[0]:match("^(.*)/") or ".") .. "/lib/"
local check = dofile(lib .. "check.lua")
local clean = dofile(lib .. "clean.lua")
local json = dofile(lib .. "json.lua")
local H, ID = clean.hostile, clean.identifier

local dir = io.popen("mktemp -d"):read("*l")
local function read(name)
    local f = io.open(dir .. "/" .. name)
    local text = f and f:read("*a") or ""
    if f then f:close() end
    return text
end

local log = {}
local function keep(_, message) log[#log + 1] = message end
ljinspect.set_logger(keep)

-- A function with a name, a local, an upvalue and a file that are hostile, and values that are.
local source = ("local %s, value, t, other = ...\nlocal function f(...)\n local %sy = value\n local u = %s\n return other, t, u\nend\nreturn f")
    :format(ID, ID, ID)
local f = assert(loadstring(source, "@" .. H .. ".lua"))
local named = setmetatable({}, { __tostring = function() return H end })
local other = assert(loadstring("return 1", "=" .. H))
local program = { [H] = f(H, H, { [H] = H, [other] = other, 1, named }, other) }
local function run()
    local a, b, c = program[H](H, named) -- its name is the key
    return a, b, c
end

local n = 0
local function set(options)
    n = n + 1
    options.file, options.line, options.budget, options.tag = H .. ".lua", 5, 0, H
    assert(ljinspect.set_hook(options))
end
local all = { locals = true, upvalues = true, varargs = true, stack = 5, stack_locals = 2, tostring = true }
local as_json = { format = "json" }
for k, v in pairs(all) do as_json[k] = v end

local given = {}
local function show(options, name)
    options.capture = options.capture or all
    set(options)
    if options.sink == nil then return end
    if type(options.sink) == "string" then check.truthy(options.sink:find(name, 1, true)) end
end
local function take(line) given[#given + 1] = line end

show({ log = H .. " {value} {t} {other} {u}" })
show({ log = H .. " {value}", sink = dir .. "/text" }, "text")
show({ log = H .. " {value}", sink = dir .. "/json", capture = as_json }, "json")
show({ log = H .. " {value}", sink = take })
show({ log = H .. " {value}", sink = take, capture = as_json })
show({ log = "{value.x.y.z}", condition = "value .. {} == 1" })
show({ log = "{error(value)}" })
show({ log = "counted", sink = function() error(H, 0) end })
set { log = "x", count = true, histogram = "u and 1", interval = 1 }
run()
assert(ljinspect.set_hook(H .. ".lua", 4, nil, function() error(H) end))
assert(ljinspect.set_hook(H .. ".lua", 3, nil, function() error(setmetatable({}, { __tostring = function() return H end })) end))
run()
check.eventually(function() return #read "text" > 0 and #read "json" > 0 end, "the lines come to the files")
ljinspect.unset_all()

check.truthy(#log >= 5, "messages in the log")
check.truthy(#given >= 2, "lines for the function")
for _, line in ipairs(log) do
    check.equal(clean.wrong(line), nil, "log")
    check.equal(line:find("\n"), nil, "one line: " .. line)
end
for _, line in ipairs(given) do
    check.equal(clean.wrong(line), nil, "sink")
    check.equal(line:find("\n"), nil, "one line: " .. line)
end
check.equal(clean.wrong(read "text"), nil, "file of text")
for line in read("text"):gmatch("[^\n]+") do check.matches(line, "^%d+%-%d+%-%d+T[%d:.]+Z ") end
check.equal(clean.wrong(read "json"), nil, "file of JSON")
for line in read("json"):gmatch("[^\n]+") do check.truthy((pcall(json.read, line)), "JSON: " .. line) end

-- A hooks file that is named so, and fails so; and the log where there is no logger.
local hooks = dir .. "/" .. H:gsub("/", "") .. ".lua"
local function write(text)
    local to = assert(io.open(hooks, "w"))
    to:write(text)
    to:close()
end
log = {}
write("error([==[" .. H .. "]==], 0)")
check.equal(ljinspect.watch { file = hooks, insecure = true, delay = 60 }, true)
write("x = = " .. H)
ljinspect.poll()
os.execute(("chmod 666 '%s'"):format(hooks))
ljinspect.watch { file = hooks, delay = 60 }
ljinspect.poll()
ljinspect.destroy()
check.truthy(#log >= 4, "messages about the file")
for _, line in ipairs(log) do check.equal(clean.wrong(line), nil, "log of a file") end

local script = assert(io.open(dir .. "/watch.lua", "w"))
script:write "require('ljinspect').watch { file = ..., delay = 60 }"
script:close()
local p = io.popen(("luajit %s/watch.lua '%s' 2>&1"):format(dir, hooks))
local text = p:read "*a"
p:close()
check.matches(text, "refused")
check.equal(clean.wrong(text), nil, "standard error")

os.execute("rm -rf " .. dir)
check.done()
