#include "jit_mode.h"

#include <lauxlib.h>
#include <luajit.h>

#include "ljinspect.h"

static int set_mode(lua_State *L) {
    luaJIT_setmode(L, 2, (int)lua_tointeger(L, 1));
    return 0;
}

int jit_mode(lua_State *L, int mode) {
    luaL_checkstack(L, 3, "no room to switch the compiler");
    lua_pushcfunction(L, set_mode);
    lua_pushinteger(L, mode);
    lua_pushvalue(L, -3);
    int status = lua_pcall(L, 2, 0, 0);
    if (status == LUA_ERRMEM) lua_error(L);
    if (status != 0) lua_pop(L, 1);
    return status == 0 ? 0 : LJINSPECT_ERR_BUSY;
}
