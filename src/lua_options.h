/*
 * set_hook{...}: the table as ljinspect_hook_options. Part of the Lua module.
 */
#ifndef LJINSPECT_LUA_OPTIONS_H
#define LJINSPECT_LUA_OPTIONS_H

#include <lua.h>

/* set_hook with a table as its only argument, at stack index 1. Returns what set_hook returns; raises an error that names
 * the field for what is wrong with the table. */
int lua_options_set_hook(lua_State *L);

/* limits{...}: sets what is given, returns all. */
int lua_options_limits(lua_State *L);

#endif
