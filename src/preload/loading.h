/*
 * Finding LuaJIT's own functions behind ours, and libljinspect for the LuaJIT they belong to.
 */
#ifndef LJINSPECT_PRELOAD_LOADING_H
#define LJINSPECT_PRELOAD_LOADING_H

#include <stdbool.h>

struct lua_State;

/* The functions that compile Lua code, in one order or another in all versions of the 5.1 API. */
#define LOADERS(X)      \
    X(lua_load)         \
    X(lua_loadx)        \
    X(luaL_loadfile)    \
    X(luaL_loadfilex)   \
    X(luaL_loadbuffer)  \
    X(luaL_loadbufferx) \
    X(luaL_loadstring)

enum loader_function {
#define LOADER_NAME(name) LOADER_##name,
    LOADERS(LOADER_NAME)
#undef LOADER_NAME
        LOADER_COUNT
};

/* The function that a call from the code at `caller` would have reached without this library. There is one, for the
 * program was linked; where it cannot be found the process ends with a message, as it would have in the dynamic linker.
 * Any thread. */
void *loading_next(enum loader_function which, const void *caller);

/* Attach to the VM of L unless that was done. `next` is what loading_next() gave for `which`. Does nothing where that is
 * no LuaJIT's, nor, after one message per process, where it is another's than the first one. On the VM's thread. */
void loading_attach(struct lua_State *L, enum loader_function which, const void *next);

/* The same for a VM of the LuaJIT inside the executable, which exports its functions. */
void loading_attach_inside(struct lua_State *L);

/* Whether any VM was attached to, or tried to. */
bool loading_seen(void);

#endif
