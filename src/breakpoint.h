/*
 * Breakpoints that need no filter of the user's: each hit shows the locals, upvalues and the stack on standard error.
 */
#ifndef LJINSPECT_BREAKPOINT_H
#define LJINSPECT_BREAKPOINT_H

#include "ljinspect.h"

/* Set one breakpoint, a lasting hook, of which `hits` are shown in this process (0: all), however many VMs there are.
 * Returns 0, or an error as ljinspect_set_hook. */
int breakpoint_set(lua_State *L, const char *file, int line, int hits);

#endif
