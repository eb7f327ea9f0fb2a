/*
 * What the hits are compared with: arrivals at lines, counted with LuaJIT's debug hooks alone, the JIT off. It shares
 * nothing with the engines: no layout, no bytecode, only lua_sethook() and lua_getinfo(), and jit.util for returns.
 */
#ifndef LJINSPECT_TORTURE_ORACLE_H
#define LJINSPECT_TORTURE_ORACLE_H

#include <lua.h>
#include <stddef.h>

/* Control has arrived at the line. `source` as in lua_Debug. */
typedef void (*oracle_arrival)(const char *source, int line);

/* Takes the VM's debug hook, and switches the JIT off. */
void oracle_start(lua_State *L, oracle_arrival arrival);
/* The same for returns of functions in Lua, which are known by the line on which their code begins. */
void oracle_start_returns(lua_State *L, oracle_arrival arrival);
void oracle_stop(lua_State *L);

#endif
