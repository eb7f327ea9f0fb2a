// A C++ program that embeds LuaJIT: exceptions pass through Lua, destructors run. Knows nothing of ljinspect.
#include <iostream>
#include <lua.hpp>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

struct Closer {
    void operator()(lua_State *L) const {
        lua_close(L);
    }
};
using State = std::unique_ptr<lua_State, Closer>;

struct Counted {
    static int alive;
    Counted() {
        ++alive;
    }
    ~Counted() {
        --alive;
    }
};
int Counted::alive = 0;

// Throws through Lua frames: LuaJIT lets C++ exceptions pass, and pcall catches them as errors.
int thrower(lua_State *L) {
    Counted here;
    throw std::runtime_error(std::string("thrown for ") + luaL_checkstring(L, 1));
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    State L(luaL_newstate());
    luaL_openlibs(L.get());
    lua_register(L.get(), "thrower", thrower);
    if (luaL_loadfile(L.get(), argv[1]) != 0 || lua_pcall(L.get(), 0, 1, 0) != 0) {
        std::cerr << lua_tostring(L.get(), -1) << "\n";
        return 1;
    }
    std::cout << lua_tostring(L.get(), -1) << ", " << Counted::alive << " alive\n";
    return 0;
}
