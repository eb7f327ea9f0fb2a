/* Interrupting what a hook runs, from within a debug hook: LuaJIT calls no other hook then, unless the mark is gone. */
#include "line_bound.h"

#include "hook_mark.h"

bool line_bound_begin(lua_State *L, lua_Hook tick, int count) {
    if (!hook_unmark(L)) return false;
    lua_sethook(L, tick, LUA_MASKCOUNT, count);
    return true;
}
