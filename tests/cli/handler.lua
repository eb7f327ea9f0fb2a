-- Requests of tests/cli/nginx.sh, which knows the lines.
local function work(n)
    local s = 0
    for i = 1, n do s = s + (i - 1) end
    return s
end

local function spin()
    for i = 1, 6e9 do local x = i end
    return "spun"
end

local function nap(seconds)
    -- a frame that waits
    ngx.sleep(seconds)
    return "slept"
end

local function answer(wanted)
    if wanted == "work" then
        return ("%d"):format(work(1000000))
    end
    return "hello"
end

local wanted = ngx.var.arg_do
if wanted == "spin" then
    local r = spin()
    ngx.print(r)
elseif wanted == "sleep" then
    local r = nap(2)
    ngx.print(r)
else
    ngx.print(answer(wanted))
end
