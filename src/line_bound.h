/*
 * Calling a count hook while a debug hook runs. Public API only.
 */
#ifndef LJINSPECT_LINE_BOUND_H
#define LJINSPECT_LINE_BOUND_H

#include <lua.h>
#include <stdbool.h>

/* From within a debug hook: put `tick` in, in place of the hook that is set, and let LuaJIT call it. False, with nothing
 * changed, where memory is short. Afterwards, until the hook returns, events of any hook that is set are sent. */
bool line_bound_begin(lua_State *L, lua_Hook tick, int count);

#endif
