-- What stands in for somebody at a debugger, for compare.sh: waits for a program with MobDebug in it, sets a breakpoint and lets
-- it go on, whenever it stands. Prints its port.
local socket = require "socket"
local server = assert(socket.bind("127.0.0.1", 0))
print((select(2, server:getsockname())))
io.stdout:flush()
local client = assert(server:accept())

local function say(line, answer)
    client:send(line .. "\n")
    local got = client:receive()
    assert(got and got:find(answer, 1, true), line .. ": " .. tostring(got))
end
say("STEP", "200 OK") -- as its own controller begins
assert(client:receive():find("202 Paused", 1, true))
say("SETB tests/bench/workload.lua 5", "200 OK")
repeat
    say("RUN", "200 OK")
    local line = client:receive() -- "202 Paused", or the end
until not line
