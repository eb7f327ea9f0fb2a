-- stop.lua PROGRAM HOW: run PROGRAM, which calls its argument with a traceback at a chosen place. The traceback is
-- printed, and the program stays there: HOW is "wait" (in a C function) or "spin" (in Lua code that never ends).
local program, how = ...

local function stop_waiting(traceback)
    io.write(traceback, "\n.\n")
    io.flush()
    io.read()
end

-- What spins is the frame of the function that called it, so that the traceback holds: a C function would not do.
local function stop_spinning(traceback)
    io.write(traceback, "\n.\n")
    io.flush()
    while true do end
end

local chunk = assert(loadfile(program))
chunk(how == "spin" and stop_spinning or stop_waiting)
