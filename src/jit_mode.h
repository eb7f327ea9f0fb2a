/*
 * luaJIT_setmode() for a function. It raises an error in a finalizer (lj_dispatch.c, luaJIT_setmode: HOOK_GC); here that is
 * a result.
 */
#ifndef LJINSPECT_JIT_MODE_H
#define LJINSPECT_JIT_MODE_H

#include <lua.h>

/* Set `mode` (LUAJIT_MODE_...) for the Lua function on top of the stack. 0, or LJINSPECT_ERR_BUSY in a finalizer. May raise
 * a memory error. */
int jit_mode(lua_State *L, int mode);

#endif
