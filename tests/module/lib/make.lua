-- For the module tests of hooks in table form.
local chunks = 0
-- A function made of `code`, whose hooked line is the one with "--@"; its chunk name is new.
return function(code, env)
    chunks = chunks + 1
    local name = ("made%d.lua"):format(chunks)
    local f = assert(loadstring(code, "@" .. name))
    if env then setfenv(f, env) end
    local line = 1
    for text in (code .. "\n"):gmatch("(.-)\n") do
        if text:find("--@", 1, true) then return f, name, line end
        line = line + 1
    end
    error("no --@ in:\n" .. code)
end
