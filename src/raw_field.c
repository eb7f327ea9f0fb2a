#include "raw_field.h"

void raw_field(lua_State *L, const char *name) {
    if (lua_istable(L, -1)) {
        lua_pushstring(L, name);
        lua_rawget(L, -2);
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, -2);
}

void raw_loaded(lua_State *L, const char *name) {
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    raw_field(L, "_LOADED");
    raw_field(L, name);
}
