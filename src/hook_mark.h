/*
 * LuaJIT's mark that a debug hook runs, while which it calls no other (lj_dispatch.c, callhook: HOOK_ACTIVE). It covers
 * what an error raised by a hook runs, too, the handler of an xpcall() for one.
 */
#ifndef LJINSPECT_HOOK_MARK_H
#define LJINSPECT_HOOK_MARK_H

#include <lua.h>
#include <stdbool.h>

/* From within a debug hook: take the mark away. False: no memory for it. It costs a coroutine and an error, about 3 us. */
bool hook_unmark(lua_State *L);

#endif
