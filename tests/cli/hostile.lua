-- A process whose memory was made to keep readers busy: the debug information of the function that runs has no end that a
-- reader would live to see. It prints a line and spins.
local ffi = require "ffi"
ffi.cdef [[
void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
int memfd_create(const char *name, unsigned flags);
int ftruncate(int fd, long length);
]]
local PIECE, PIECES = 2 ^ 20, 256
local SHARED_FIXED, RESERVE = 0x11, 0x104022 -- MAP_PRIVATE, _ANONYMOUS, _NORESERVE, _FIXED_NOREPLACE
local C = ffi.C

local function spin(a, b, c)
    local kept = a + b + c
    while true do
        kept = kept + 1
    end
end

-- 256 MB of entries for variables that are never active, over and over the same piece of memory, within 4 GB of `after`.
local function entries(after)
    local fd, first = C.memfd_create("entries", 0), nil
    assert(C.ftruncate(fd, PIECE) == 0)
    for i = 1, 220 do
        local hint = ffi.cast("uint8_t *", ffi.cast("uint64_t", after) / PIECE * PIECE + i * 16 * PIECE)
        if C.mmap(hint, PIECES * PIECE, 0, RESERVE, -1, 0) == ffi.cast("void *", hint) then
            first = hint
            break
        end
    end
    assert(first, "no room in the address space")
    for i = 0, PIECES - 1 do
        local at = first + i * PIECE
        assert(C.mmap(at, PIECE, 3, SHARED_FIXED, fd, 0) == ffi.cast("void *", at))
    end
    for i = 0, PIECE - 1, 4 do first[i] = ("x"):byte() end
    return first
end

-- lj_obj.h, GC64: the bytecode that a function points at lies behind its prototype, in which sizept is at 56, varinfo at 96.
local address = tonumber((("%p"):format(spin):gsub("^0x", "")), 16)
local proto = ffi.cast("uint8_t **", address + 32)[0] - 104
local list = entries(proto)
ffi.cast("uint32_t *", proto + 56)[0] = 0xffffffff
ffi.cast("uint8_t **", proto + 96)[0] = list
print "."
io.flush()
jit.off(spin)
spin(1, 2, 3)
