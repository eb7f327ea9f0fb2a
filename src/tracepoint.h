/*
 * A function by its name, and the line at which control enters it.
 */
#ifndef LJINSPECT_TRACEPOINT_H
#define LJINSPECT_TRACEPOINT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

/* Push the function that `name` stands for: "module.name.field" is a field of a loaded module, the longest module name
 * first, or of a global. Metamethods are not asked. False, with nothing pushed and *why set, where there is none. May
 * raise a memory error. */
bool tracepoint_find(lua_State *L, const char *name, const char **why);

/* The line on which the code of the function on top of the stack begins. False with *why where there is none: a C function.
 * The chunk name is valid as long as the function. May raise a memory error. */
bool tracepoint_line(lua_State *L, const char **source, int *line, const char **why);

/* Whether each call of the function on top of the stack arrives at that line once. False with *why for one that comes back
 * to it, in a loop or for a call whose arguments are on other lines. May raise a memory error. */
bool tracepoint_once(engine *e, lua_State *L, int line, const char **why);

#endif
