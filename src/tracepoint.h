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

/*
 * The line that each call of the function on top of the stack arrives at once, and first: the first line with code.
 * False with *why where there is no such line: a C function; a function that comes back to its first line, in a loop or
 * for a call whose arguments are on other lines. The chunk name is valid as long as the function. May raise a memory
 * error.
 */
bool tracepoint_entry(engine *e, lua_State *L, const char **source, int *line, const char **why);

#endif
