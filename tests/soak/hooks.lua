-- What the hooks file of a soak is made of: run.sh writes one line before this, with the locals
--   round, kind   which change this is, and what it consists of: one of `kinds` below
--   line          the lines of shop.lua by their words
--   hooked        the word of the line on which every worker is to say that this change is in force
--   flaws         words for flaws that are made on purpose, so that the verdict can be seen to find them; usually none
local ljinspect = require "ljinspect"
local prefix = ngx.config.prefix()
local sinks = prefix .. "sinks/"
local traps = ljinspect.status().engine == "trap"

local function at(word, options)
    options.file, options.line = "shop.lua", line[word]
    return ljinspect.set_hook(options)
end

local function look(info)
    local n = 0
    for _ in pairs(info.vals) do n = n + 1 end
    for _ in pairs(info.uv) do n = n + 1 end
    return false
end

-- In force from now on: the next hit of `hooked` says so, once in each worker.
local function announce()
    ljinspect.set_hook("shop.lua", line[hooked], nil, function(info)
        local said = prefix .. "hit." .. ngx.worker.pid()
        local file = assert(io.open(said .. ".new", "w"))
        file:write(round, " ", info.finfo.currentline, "\n")
        file:close()
        assert(os.rename(said .. ".new", said))
        return true
    end)
end

local kinds = {}

function kinds.filters()
    for _, word in ipairs {"greet", "price", "join", "innermost", "fetch-receive", "add"} do
        ljinspect.set_hook("shop.lua", line[word], nil, look)
    end
end

function kinds.tables()
    at("price", {condition = "net > 10 and gross < 100", log = "net {net} {currency}", sink = sinks .. "tables", per_second = 20})
    at("greet", {condition = "length == 3", hits = 5, filter = look, tag = "soak"})
    at("add", {condition = "i == 77 and sum > 0", count = true, interval = 1, sink = sinks .. "tables"})
    at("join", {sample = 0.5, expires = 0.2, log = "{select('#', ...)} of {separator}", level = "debug"})
end

function kinds.snapshots()
    local capture = {locals = true, upvalues = true, varargs = true, stack = 10, stack_locals = 3}
    at("innermost", {capture = capture, sink = sinks .. "text", per_second = 50})
    capture.format = "json"
    at("price-shadowed", {capture = capture, sink = sinks .. "json", per_second = 50})
    at("nap", {capture = true, sink = function(text) assert(#text > 0) end})
end

function kinds.returns()
    local shop = package.loaded.shop
    if not traps or not shop then return kinds.filters() end
    for name in pairs {greet = 1, price = 1, nap = 1, total = 1, outermost = 1, fetch = 1} do
        ljinspect.set_hook {func = shop[name], at = "return", histogram = "duration_us", interval = 1, sink = sinks .. "returns"}
    end
    ljinspect.set_hook {func = shop.join, log = "{separator}", per_second = 5, sink = sinks .. "returns"}
    ljinspect.set_hook {func = shop.greet, at = "return", capture = {returns = true, stack = 2}, per_second = 5,
                        condition = "duration_us == nil or duration_us >= 0", sink = sinks .. "returns"}
end

-- Filters that fail, never end, or change the hooks.
function kinds.unruly()
    ljinspect.set_hook("shop.lua", line.greet, nil, function() error "on purpose" end)
    ljinspect.set_hook("shop.lua", line.price, nil, function() ngx.sleep(0) end) -- filters cannot yield
    if round % 8 == 0 then at("innermost", {filter = function() while true do end end}) end
    ljinspect.set_hook("shop.lua", line.join, nil, function()
        ljinspect.unset_hook("shop.lua", line.join)
        ljinspect.set_hook("shop.lua", line.join, nil, look)
        return false
    end)
end

-- Pending hooks, and lines without code.
function kinds.elsewhere()
    for i = 1, 50 do ljinspect.set_hook("no-such-file-" .. i .. ".lua", i, nil, look) end
    ljinspect.set_hook("shop.lua", 1, nil, look)
    ljinspect.set_hook("routes.lua", 8, nil, look)
end

-- What the speed of requests is measured with: the same every time.
function kinds.measured()
    ljinspect.set_hook("shop.lua", line.greet, nil, look)
    at("price", {condition = "net < 0", log = "never", budget = 0})
    at("join", {log = "{separator}", per_second = 10, sink = sinks .. "measured", budget = 0})
    at("innermost", {count = true, interval = 1, sink = sinks .. "measured", budget = 0})
    if flaws:find "slow" then
        ljinspect.set_hook("shop.lua", line.greet, nil, function()
            local text
            for i = 1, round * 100 do text = i .. "" end
            return text == nil
        end)
    end
end

-- ---- Flaws on purpose ----

local function spoil()
    kept_by_soak = kept_by_soak or {}
    local n = #kept_by_soak + 1
    kept_by_soak[n] = true
    if flaws:find "heap" then kept_by_soak[n] = ("x"):rep(4000) .. round end
    if flaws:find "fds" then kept_by_soak[-n] = io.open("/dev/null") end
    if flaws:find "error" then ngx.log(ngx.ERR, "an error that nobody expects") end
    local ffi = require "ffi"
    if flaws:find "memory" then
        pcall(ffi.cdef, "void *malloc(size_t); void *memset(void *, int, size_t);")
        ffi.C.memset(ffi.C.malloc(100000), 1, 100000)
    end
    if flaws:find "maps" then
        pcall(ffi.cdef, "void *mmap(void *, size_t, int, int, int, long);")
        ffi.C.mmap(nil, 4096, n % 2, 34, -1, 0) -- private, anonymous; the modes alternate, or neighbours would merge
    end
    if flaws:find "wrong" and n == 3 then
        local shop = package.loaded.shop
        local greet = shop and shop.greet
        if greet then shop.greet = function(name) return greet(name) .. "!" end end
    end
end

if kind ~= "measured" then announce() end
kinds[kind]()
if flaws ~= "" and kind ~= "measured" then spoil() end
