/*
 * An error that ends a coroutine takes the mark away (lj_err.c, err_unwind, hook_leave; tried on 2.1 of 2022 and of OpenResty,
 * 2023): what any hook may do that resumes a coroutine that fails. callhook takes it away once more when the hook returns.
 */
#include "hook_mark.h"

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

bool hook_unmark(lua_State *L) {
    if (lua_cpcall(L, end_a_coroutine, NULL) == 0) return true;
    lua_pop(L, 1);
    return false;
}
