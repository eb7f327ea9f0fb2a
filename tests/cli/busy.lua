-- Makes and drops everything there is, coroutines and functions included.
while true do
    local all = {}
    for i = 1, 50 do
        local co = coroutine.wrap(function(a) local b = coroutine.yield(a .. i) return b end)
        all[i] = co("x")
        co(i)
        all[#all + 1] = assert(loadstring("return " .. i))()
    end
    table.sort(all, function(a, b) return tostring(a) < tostring(b) end)
end
