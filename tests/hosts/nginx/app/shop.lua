-- The program under inspection: request handlers that know nothing of ljinspect. Lines with an "@word" comment are
-- those that scenarios hook; `$(at shop word)` in a scenario is such a line's number.
local _M = {}

local currency = "EUR"
local unused_here = "an upvalue that price() does not use"

function _M.greet(name)
    local greeting = "hello " .. name
    local length = #greeting                                    -- @greet
    local answer = greeting .. " (" .. length .. ")"            -- @greet-next
    return answer
end

function _M.price(amount)
    local net = amount * 2
    local gross = net + 1
    local text = gross .. " " .. currency                       -- @price
    local after = "set after the hooked line"
    do
        local net = "inner"
        text = text .. " " .. net                               -- @price-shadowed
    end
    return text .. " " .. #after
end

function _M.unused()
    return unused_here
end

function _M.join(separator, ...)
    local n = select("#", ...)
    local parts = {...}                                         -- @join
    for i = 1, n do parts[i] = tostring(parts[i]) end
    return table.concat(parts, separator)
end

-- Three frames, so that a traceback has something to show.
local function innermost(depth)
    local here = "depth " .. depth
    return here .. "!"                                          -- @innermost
end

local function middle(depth)
    local text = innermost(depth + 1)
    return text .. "?"
end

function _M.outermost()
    local text = middle(1)
    return text .. "."
end

-- Yields on the hooked line, between entering and leaving it.
function _M.nap(n)
    local before = "before " .. n
    local slept = before .. " " .. select("#", ngx.sleep(0.01)) -- @nap
    return slept .. " after"
end

-- Longer.
function _M.wait(n)
    local before = "before " .. n
    local waited = before .. " " .. select("#", ngx.sleep(0.5)) -- @wait
    return waited .. " after"
end

-- The same through a socket: connects, sends and receives on one line each.
function _M.fetch(path, n)
    local sock = ngx.socket.tcp()
    local ok, err = sock:connect(path)                          -- @fetch-connect
    if not ok then return "no connection: " .. tostring(err) end
    sock:send("GET /peer?" .. n .. " HTTP/1.0\r\n\r\n")
    local all = sock:receive("*a")                              -- @fetch-receive
    sock:close()
    return all:match("\r\n\r\n(.*)")
end

-- Sleeps long on the hooked line: for clients that do not wait for the answer.
function _M.long_nap(n)
    local before = "before " .. n
    local slept = before .. " " .. select("#", ngx.sleep(tonumber(n) == 0 and 30 or 0.01)) -- @long-nap
    return slept
end

-- Ends the request from within the line, in one of several ways.
function _M.leave(how)
    local ways = {exit = ngx.exit, redirect = ngx.redirect, exec = ngx.exec, error = error}
    local argument = ({exit = 403, redirect = "/elsewhere", exec = "/greet"})[how] or "leave by error"
    ways[how](argument)                                         -- @leave
end

-- Stopped by the program's own debug hook after so many instructions.
function _M.runaway()
    local turns = 0
    while true do
        turns = turns + 1                                       -- @runaway
    end
end
jit.off(_M.runaway)

-- What the compiler likes: a loop that calls a small function.
local function add(sum, i)
    local next = sum + i % 7                                    -- @add
    return next
end

function _M.total(n)
    local sum = 0
    for i = 1, n do
        sum = add(sum, i)
    end
    return sum
end

return _M
