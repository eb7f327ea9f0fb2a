-- For wrk: requests in turn, each answer compared byte for byte with what nginx without ljinspect has said. Line 25 is
-- hooked by run.sh.
local paths = {"/price", "/greet?name=ann", "/total", "/nap?n=0", "/fetch?n=7", "/threads", "/join", "/trace", "/rich"}
local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    wrong, first, expected = 0, "", {}
    requests, sent, received = {}, 0, 0
    for i, path in ipairs(paths) do
        requests[i] = wrk.format("GET", path, {Host = "x"})
        local name = args[1] .. "/" .. path:gsub("[^a-z0-9=]", "_")
        local file = assert(io.open(name), name)
        expected[file:read("*a")] = true
        file:close()
    end
end

function request()
    sent = sent + 1
    local turn = sent % #paths + 1
    return requests[turn]                   -- line 25
end

function response(status, headers, body)
    received = received + 1
    if expected[body] then return end
    if wrong == 0 then first = status .. " " .. body end
    wrong = wrong + 1
end

function done(summary)
    local wrong, received, first, e = 0, 0, "", summary.errors
    for _, thread in ipairs(threads) do
        wrong, received = wrong + thread:get("wrong"), received + thread:get("received")
        if first == "" then first = thread:get("first") end
    end
    io.write(("answers %d\nwrong %d %s\nerrors connect=%d read=%d write=%d status=%d timeout=%d\n"):format(received, wrong,
        first:gsub("%s+", " "), e.connect, e.read, e.write, e.status, e.timeout))
end
