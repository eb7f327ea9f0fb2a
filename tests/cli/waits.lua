-- Waits in known shares: a third of the time in naps, two thirds in rests; and computes a little.
local ffi = require "ffi"
ffi.cdef "int usleep(unsigned)"
local function naps() ffi.C.usleep(30000) end
local function rests() ffi.C.usleep(60000) end
local function computes()
    local finish = os.clock() + 0.02
    while os.clock() < finish do end
end
while true do
    naps()
    rests()
    computes()
end
