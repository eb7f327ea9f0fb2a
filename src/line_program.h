/*
 * The debug hook that the program has set: while ours is in its place it is called through, for the events that it would
 * see without us, and no others.
 */
#ifndef LJINSPECT_LINE_PROGRAM_H
#define LJINSPECT_LINE_PROGRAM_H

#include <lua.h>
#include <stdatomic.h>

#include "visits.h"

/* Atomic because the watcher's thread takes the VM's hook over when it wakes a sleeping VM. */
typedef struct line_program {
    _Atomic(lua_Hook) hook;
    atomic_int mask;
    atomic_int count;
    atomic_int left; /* instructions until its count hook is due */
    /* For a hook of line events without call events, see line_program.c: */
    visits calls;      /* frames that have called a function which is not in Lua; `loops` says that it is a fast one */
    const void *last;  /* the coroutine of the last event */
    const void *yield; /* coroutine.yield */
} line_program;

/* What zeroes make, made ready for the VM of L. May raise a memory error. */
void line_program_open(line_program *p, lua_State *L);

/* Take over what is set in the VM now. */
void line_program_take(line_program *p, lua_State *L);

/* Put it back in place of ours. */
void line_program_give_back(line_program *p, lua_State *L);

/* Whether every instruction must be an event for it. */
bool line_program_counts(const line_program *p);

/* The program's hook if it is to be called for this event of ours, whose mask holds LINE, CALL and RET, and COUNT 1 if
 * line_program_counts(); else NULL. To be asked once for each event. */
lua_Hook line_program_wants(line_program *p, lua_State *L, const lua_Debug *ar);

#endif
