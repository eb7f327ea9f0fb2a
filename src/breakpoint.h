/*
 * Breakpoints that need no filter of the user's: each hit shows the locals, upvalues and the stack on standard error.
 */
#ifndef LJINSPECT_BREAKPOINT_H
#define LJINSPECT_BREAKPOINT_H

#include <stdint.h>

#include "ljinspect.h"

/* Set one breakpoint, a lasting hook, of which `hits` are shown in this process (0: all), however many VMs there are.
 * Returns as ljinspect_set_hook, and 0 where all were shown. */
int64_t breakpoint_set(lua_State *L, const char *file, int line, int hits);

/* Have it said of breakpoints whose file is loaded and has no code on that line, once in this process: when such a file is
 * loaded (breakpoint_loaded), and when the VM of L is closed, as far as its functions can be found then. May raise a
 * memory error. */
void breakpoint_open(lua_State *L);

/* The function on top of L may have been loaded just now. Raises no error. */
void breakpoint_loaded(lua_State *L);

#endif
