/*
 * Finding loaded functions through the public API: what the line engine says about where hooks stand.
 */
#ifndef LJINSPECT_CODE_SEARCH_H
#define LJINSPECT_CODE_SEARCH_H

#include <lua.h>
#include <stddef.h>

#include "engine.h"

/*
 * For each hook: in how many loaded functions its line has code, or the nearest lines that have. Follows tables,
 * upvalues, environments, stacks and nested functions from the registry on (loaded modules and globals first), without
 * metamethods, and gives up after some 100,000 steps (10 to 20 ms): in a VM with more data than that a function that
 * is reachable only through it may be missed, and its hook shown as pending. May raise a memory error.
 */
void code_search(lua_State *L, hook *const *hooks, size_t n, engine_place *places);

#endif
