-- For wrk: the requests of hosts/stress, of which SOAK_LOAD is the script; at a pace where there is a second argument, the
-- milliseconds that each connection waits before a request.
dofile(os.getenv "SOAK_LOAD")
local prepare = init

function init(args)
    prepare(args)
    local pause = tonumber(args[2])
    if pause then function delay() return math.random(0, 2 * pause) end end
end
