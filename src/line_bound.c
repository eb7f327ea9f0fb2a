/*
 * Interrupting what a hook runs, from within a debug hook: LuaJIT calls no other hook then (lj_dispatch.c, callhook:
 * HOOK_ACTIVE). An error that ends a coroutine takes that mark away (lj_err.c, err_unwind, hook_leave; tried on 2.1 of
 * 2022 and of OpenResty, 2023): what any filter may do that resumes a coroutine that fails. callhook takes it away once
 * more when the hook returns. It costs a coroutine and an error: about 3 us.
 */
#include "line_bound.h"

static int fail(lua_State *L) {
    lua_pushnil(L);
    return lua_error(L);
}

static int end_a_coroutine(lua_State *L) {
    lua_State *co = lua_newthread(L);
    lua_pushcfunction(co, fail);
    lua_resume(co, 0);
    return 0;
}

bool line_bound_begin(lua_State *L, lua_Hook tick, int count) {
    if (lua_cpcall(L, end_a_coroutine, NULL) != 0) {
        lua_pop(L, 1);
        return false;
    }
    lua_sethook(L, tick, LUA_MASKCOUNT, count);
    return true;
}
