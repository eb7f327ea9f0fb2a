/*
 * Fields of tables without metamethods: what the program has done to its globals and modules must neither run nor raise
 * an error when the library looks there. May raise a memory error.
 */
#ifndef LJINSPECT_RAW_FIELD_H
#define LJINSPECT_RAW_FIELD_H

#include <lua.h>

/* Replace the value on top by its field `name`; nil where it is no table. */
void raw_field(lua_State *L, const char *name);

/* Push the loaded module `name` (package.loaded); nil where there is none. */
void raw_loaded(lua_State *L, const char *name);

#endif
