/*
 * What a filter in Lua looks at: the parts of `info` that it cannot see need not be made.
 */
#ifndef LJINSPECT_FILTER_USE_H
#define LJINSPECT_FILTER_USE_H

#include <lua.h>

/* Parts of info. */
enum {
    USES_FINFO = 1,
    USES_VALS = 2,
    USES_UV = 4,
    USES_VARARGS = 8,
    USES_RETURNS = 16,
    USES_LEAVING = 32, /* what else is known of a return */
    USES_ALL = USES_FINFO | USES_VALS | USES_UV | USES_VARARGS | USES_RETURNS | USES_LEAVING
};

/*
 * The parts that the function on top of the stack can see when it is called with info as its only argument. USES_ALL
 * unless its bytecode shows that the parameter is only ever indexed with names: `info.vals`, and neither passed on, nor
 * stored, nor captured by a closure. Found with jit.util alone. May raise a memory error.
 */
unsigned filter_use(lua_State *L);

#endif
