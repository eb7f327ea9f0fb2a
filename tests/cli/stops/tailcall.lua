local stop = ...
local function last(n)
    stop(debug.traceback()) return n
end
local function before(n) return last(n) end
local function caller(n) local r = before(n) return r end
local r = caller(1)
