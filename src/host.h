/*
 * What the library knows of hosts: whether one has come up so far that a hooks file may be applied.
 */
#ifndef LJINSPECT_HOST_H
#define LJINSPECT_HOST_H

#include <lua.h>
#include <stdbool.h>

/*
 * Whether Lua code that runs in L now is what people look at, and finds what a hooks file may require. In nginx: once it
 * is run for a worker's start, a request or a timer; not in the master process, nor while a VM is being set up
 * (init_by_lua). Everywhere else: always. Calls a function of the program's, inside a protected call of the caller's; may
 * raise a Lua error.
 */
bool host_ready(lua_State *L);

#endif
