/* For the static checks alone (.ci/run): tell them which of Lua's functions never return. */
#ifndef LJINSPECT_TIDY_H
#define LJINSPECT_TIDY_H

#include <lauxlib.h>

__attribute__((noreturn)) int lua_error(lua_State *L);
__attribute__((noreturn)) int luaL_error(lua_State *L, const char *fmt, ...);
__attribute__((noreturn)) int luaL_argerror(lua_State *L, int numarg, const char *extramsg);
__attribute__((noreturn)) int luaL_typerror(lua_State *L, int narg, const char *tname);

#endif
