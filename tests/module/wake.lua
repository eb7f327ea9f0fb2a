-- Each of many changes of the hooks file comes into force in a program that is busy, mostly in compiled code, and never
-- waits for a system call or calls poll(). How long that takes is the benchmark's business; here it must not take for ever.
if not pcall(require, "ffi") then
    print("SKIPPED: this LuaJIT has no FFI, from which the benchmark has its clock")
    os.exit(77)
end
arg[1] = 400
dofile((arg[0]:match("^(.*)/") or ".") .. "/../bench/change.lua")
