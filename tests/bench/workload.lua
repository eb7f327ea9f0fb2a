-- What the benchmarks run: something like the Lua side of a small HTTP request. No clock, no output.
local M = {}

local routes = {}
for i = 1, 50 do routes["/api/v1/item/" .. i] = { id = i, limit = i * 3, tags = { "a", "b", "c" } } end

local function parse(line)
    local method, uri, args = line:match("^(%u+) ([^?]+)%??(.*)$")
    local query = {}
    for key, value in args:gmatch("(%w+)=(%w+)") do query[key] = value end
    return method, uri, query
end

local function limit_key(ctx, conf)
    local conf_key = conf.id % 7
    local key = ctx.addr .. ":" .. conf_key -- hooked
    return key
end
M.hook_line = 16
M.hooked = limit_key

local function headers(ctx, n)
    local out = {}
    for i = 1, n do out[#out + 1] = "X-H" .. i .. ": " .. (ctx.id * i) end
    return table.concat(out, "\r\n")
end

function M.request(i)
    local method, uri, query = parse("GET /api/v1/item/" .. (i % 50 + 1) .. "?user=u" .. (i % 13) .. "&page=2")
    local conf = routes[uri]
    local ctx = { method = method, addr = "10.0.0." .. (i % 250), id = i % 9973, query = query }
    local key = limit_key(ctx, conf)
    local sum = 0
    for j = 1, 200 do sum = (sum * 31 + j * conf.limit) % 1000003 end
    return #headers(ctx, 8) + #key + sum
end

function M.batch(n)
    local total = 0
    for i = 1, n do total = total + M.request(i) end
    return total
end

-- A small hot function and its caller, to see what the compiler gives back after a hook was removed.
local function step(x, i)
    local y = x + i -- hooked
    return y > 1000 and y - 1000 or y
end
M.step_line = 46

function M.steps(n)
    local x = 0
    for i = 1, n do x = step(x, i) end
    return x
end

return M
