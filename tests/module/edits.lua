-- A hooks file that is edited ten thousand times, as fast as it goes and in every way: the last state always wins, soon, and no
-- file descriptor is left. edits.lua [SEED [EDITS]]
local ok, ffi = pcall(require, "ffi")
if not ok then
    print "SKIPPED: this LuaJIT has no FFI, by which the file is edited"
    os.exit(77)
end
local ljinspect = require "ljinspect"
local check = dofile((arg[0]:match("^(.*)/") or ".") .. "/lib/check.lua")
ffi.cdef [[
int mkdir(const char *, unsigned);
int symlink(const char *, const char *);
int link(const char *, const char *);
int chmod(const char *, unsigned);
int rename(const char *, const char *);
int rmdir(const char *);
int utimes(const char *, const long *);
int getpid(void);
int usleep(unsigned);
]]
local seed, edits = tonumber(arg[1]) or 1, tonumber(arg[2]) or 10000
math.randomseed(seed)
print(("seed %d, %d edits"):format(seed, edits))

local dir = os.tmpname()
os.remove(dir)
assert(ffi.C.mkdir(dir, 448) == 0) -- 0700
assert(ffi.C.mkdir(dir .. "/a", 448) == 0)
assert(ffi.C.symlink("a", dir .. "/at") == 0)
local path = dir .. "/at/hooks.lua" -- through a link to a directory

-- Not counting what the watcher has open just now to look at the file.
local function count_files()
    local p = assert(io.popen("ls /proc/" .. ffi.C.getpid() .. "/fd | wc -l"))
    local n = tonumber(p:read "*a")
    p:close()
    return n
end
local function open_files()
    local least = count_files()
    for _ = 1, 10 do
        ffi.C.usleep(10000)
        least = math.min(least, count_files())
    end
    return least
end

local refused = 0
ljinspect.set_logger(function(_, message) if message:find("refused", 1, true) then refused = refused + 1 end end)

local function target() return 1 end -- hooked
local line = debug.getinfo(target, "S").linedefined
SEEN = nil
local function text(i)
    return ("require('ljinspect').set_hook('edits.lua', %d, nil, function() SEEN = %d return false end) -- %s\n"):format(line, i,
        ("x"):rep(i % 97))
end
local function write(name, s)
    local f = assert(io.open(name, "w"))
    f:write(s)
    f:close()
end

local ways = {}
ways[#ways + 1] = function(i) -- in place; through a link that stands there
    local f = io.open(path, "w")
    if not f then return end
    f:write(text(i))
    f:close()
end
ways[#ways + 1] = function(i) -- in two halves
    local f = io.open(path, "w")
    if not f then return end
    f:write(text(i):sub(1, 40))
    f:flush()
    f:write(text(i):sub(41))
    f:close()
end
ways[#ways + 1] = function(i) -- by an editor
    write(dir .. "/new", text(i))
    os.rename(dir .. "/new", path)
end
ways[#ways + 1] = function(i) -- by a link that is set to another file
    local version = dir .. "/version" .. i % 7
    os.remove(version)
    write(version, text(i))
    os.remove(dir .. "/link")
    ffi.C.symlink("../version" .. i % 7, dir .. "/link")
    os.rename(dir .. "/link", path)
end
ways[#ways + 1] = function(i) -- by a second name of another file
    os.remove(path)
    write(dir .. "/other", text(i))
    ffi.C.link(dir .. "/other", path)
end
ways[#ways + 1] = function() os.remove(path) end
ways[#ways + 1] = function() -- one that others may write is refused
    ffi.C.chmod(path, 438) -- 0666
    ffi.C.chmod(path, 384) -- 0600
end
ways[#ways + 1] = function() ffi.C.utimes(path, ffi.new("long[4]", math.random(1, 1e9), 0, math.random(1, 1e9), 0)) end
ways[#ways + 1] = function(i) write(path .. ".swp", text(i)) os.remove(path .. ".swp") end -- what editors leave beside it
ways[#ways + 1] = function(i) -- not Lua
    write(dir .. "/new", "this is no Lua " .. i)
    os.rename(dir .. "/new", path)
end

ways[#ways + 1] = function(i) -- a chain of renames
    write(dir .. "/new", text(i))
    os.rename(dir .. "/new", dir .. "/newer")
    os.rename(path, dir .. "/old")
    os.rename(dir .. "/newer", path)
    os.rename(dir .. "/old", dir .. "/older")
end
local turn = 0
ways[#ways + 1] = function(i) -- the directory's link is set to another directory
    turn = turn + 1
    local name = turn % 2 == 0 and "a" or "b"
    ffi.C.mkdir(dir .. "/" .. name, 448)
    write(dir .. "/" .. name .. "/hooks.lua.new", text(i))
    os.rename(dir .. "/" .. name .. "/hooks.lua.new", dir .. "/" .. name .. "/hooks.lua")
    ffi.C.symlink(name, dir .. "/link")
    os.rename(dir .. "/link", dir .. "/at")
end
ways[#ways + 1] = function(i) -- the directory is moved away, and another made in its place
    local name = turn % 2 == 0 and "a" or "b"
    ffi.C.rename(dir .. "/" .. name, dir .. "/gone")
    ffi.C.mkdir(dir .. "/" .. name, 448)
    write(path, text(i))
    os.remove(dir .. "/gone/hooks.lua")
    os.remove(dir .. "/gone/hooks.lua.swp")
    ffi.C.rmdir(dir .. "/gone")
end
ways[#ways + 1] = function() -- a directory that others may write is refused
    ffi.C.chmod(dir .. "/at", 511) -- 0777
    ffi.C.chmod(dir .. "/at", 448)
end
ways[#ways + 1] = function(i) -- of the same size and the same time as before
    local f = io.open(path, "r+")
    if not f then return end
    f:write(text(i))
    f:close()
    ffi.C.utimes(path, ffi.new("long[4]", 1000, 0, 1000, 0))
end

-- A loop that is compiled may not be woken with the line engine: the program asks.
local function settled(condition)
    return function()
        ffi.C.usleep(1000)
        ljinspect.poll()
        target()
        return condition()
    end
end

check.equal(ljinspect.watch { file = path, delay = 1 }, true)
write(path, text(0))
check.eventually(settled(function() return SEEN == 0 end), "the first state")
local before = open_files()
for i = 1, edits do
    ways[math.random(#ways)](i)
    if i % 100 == 0 then target() end
    if i % 1000 == 0 then -- the last of a storm, in a way that counts
        SEEN = nil
        local last = ({ 3, 4, 5, 11, 12, 13 })[math.random(6)]
        os.remove(path)
        ways[last](i)
        check.eventually(settled(function() return SEEN == i end), "the state after edit " .. i)
    end
end
os.remove(path)
check.eventually(settled(function() return #ljinspect.hooks() == 0 end), "a file that is gone takes its hooks along")
check.equal(open_files(), before, "open files")
ljinspect.destroy()
os.execute("rm -rf " .. dir)
check.done()
