-- What nginx.conf's locations call, and the routes with which scenarios look at the worker from inside.
local shop = require "shop"

local _M = {}

function _M.greet()
    ngx.say(shop.greet(ngx.var.arg_name or "world"))
end

function _M.price()
    ngx.say(shop.price(20))
end

function _M.join()
    ngx.say(shop.join("-", "a", nil, 3))
end

function _M.trace()
    ngx.say(shop.outermost())
end

function _M.nap()
    ngx.say(shop.nap(ngx.var.arg_n))
end

function _M.long_nap()
    ngx.say(shop.long_nap(ngx.var.arg_n))
end

function _M.fetch()
    ngx.say(shop.fetch("unix:" .. ngx.config.prefix() .. "peer.sock", ngx.var.arg_n or 0))
end

function _M.plugins()
    ngx.say(require("plugins.limit").access({key = "k1"}), " ", require("more-plugins.limit").access({key = "k2"}))
end

-- The request's own state must outlive a filter: context, headers, status, several writes.
function _M.rich()
    ngx.ctx.visited = "yes"
    ngx.status = 202
    ngx.header["X-Greeting"] = shop.greet("header")
    ngx.print(shop.greet("one"), "\n")
    ngx.sleep(0.005)
    ngx.print(shop.greet("two"), " ", ngx.ctx.visited, "\n")
end

function _M.total()
    ngx.say(shop.total(1000))
end

function _M.leave()
    shop.leave(ngx.var.arg_how)
end

-- As programs guard against endless loops: with a debug hook that counts.
function _M.runaway()
    debug.sethook(function() error("stopped", 0) end, "", 5000)
    local _, message = pcall(shop.runaway)
    debug.sethook()
    ngx.say(message)
end

-- shop.greet() called in a light thread, a coroutine and a timer.
function _M.threads()
    local thread = ngx.thread.spawn(shop.greet, "thread")
    local _, in_thread = ngx.thread.wait(thread)
    local in_coroutine = coroutine.wrap(function() return shop.greet("coroutine") end)()
    ngx.timer.at(0, function() shop.greet("timer") end)
    ngx.say(in_thread, " ", in_coroutine)
end

-- ---- Looking from inside ----

local function say_json(t)
    local keys, out = {}, {}
    for k in pairs(t) do keys[#keys + 1] = k end
    table.sort(keys)
    for i, k in ipairs(keys) do out[i] = k .. "=" .. tostring(t[k]) end
    ngx.say(table.concat(out, " "))
end

function _M.wait()
    ngx.log(ngx.WARN, "waiting n=", ngx.var.arg_n, ".")
    ngx.say(shop.wait(ngx.var.arg_n))
end

-- Set in init_by_lua by scenarios: how often the program's own debug hook has run.
function _M.ticks()
    ngx.say(ticks or 0)
end

function _M.collect()
    collectgarbage()
    collectgarbage()
    ngx.say("collected")
end

-- Kilobytes of this worker's heap, without garbage.
function _M.heap()
    collectgarbage()
    collectgarbage()
    ngx.say(ngx.worker.pid(), " ", ("%.1f"):format(collectgarbage("count")))
end

-- An empty request: gives the worker a Lua line to run.
function _M.poke()
    ngx.say("poked")
end

function _M.status()
    local s = require("ljinspect").status()
    s.jit = jit.status()
    s.pid = ngx.worker.pid()
    s.debug_hook = debug.gethook() ~= nil
    s.file, s.luajit = nil, nil
    say_json(s)
end

function _M.hooks()
    for _, h in ipairs(require("ljinspect").hooks()) do
        ngx.say(h.key, " ", h.state, h.nearest and " " .. table.concat(h.nearest, ",") or "")
    end
end

function _M.poll()
    ngx.say(tostring(require("ljinspect").poll()))
end

function _M.has_cjson()
    ngx.say(pcall(require, "cjson") and "yes" or "no")
end

-- Run shop.total() until it must have been compiled; say which functions each compiled trace that starts in shop.lua
-- contains, the one it starts in first.
function _M.compiled()
    local names, _, add = {}, debug.getupvalue(shop.total, 1)
    for name, f in pairs {total = shop.total, add = add} do names[debug.getinfo(f, "S").linedefined] = name end
    local traces, trace = {}, {}
    local function note(f)
        local info = require("jit.util").funcinfo(f)
        local name = (info.source or ""):find("shop.lua", 1, true) and names[info.linedefined]
        if name and not trace[name] then
            trace[name] = true
            trace[#trace + 1] = name
        end
    end
    local function on_trace(what, _, f)
        if what == "start" then
            trace = {}
            note(f)
        elseif what == "stop" and #trace > 0 then
            traces[table.concat(trace, "+")] = true
        end
    end
    local function on_record(_, f)
        note(f)
    end
    jit.flush()
    jit.attach(on_trace, "trace")
    jit.attach(on_record, "record")
    for _ = 1, 200 do shop.total(200) end
    jit.attach(on_trace)
    jit.attach(on_record)
    local all = {}
    for text in pairs(traces) do all[#all + 1] = text end
    table.sort(all)
    ngx.say("traces: ", #all > 0 and table.concat(all, " ") or "none")
end

return _M
