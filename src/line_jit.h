/*
 * What the line engine needs of the JIT compiler, through the public API alone: switching it off and on, and whether a
 * line holds a whole loop.
 */
#ifndef LJINSPECT_LINE_JIT_H
#define LJINSPECT_LINE_JIT_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum { LINE_JIT_LOOPS_CACHED = 64 };

typedef struct line_jit {
    bool switched; /* the compiler was on and was switched off */
    bool calling;  /* the control function runs */
    struct {
        uint64_t key; /* 0: empty */
        bool loops;
    } loops[LINE_JIT_LOOPS_CACHED];
} line_jit;

/* Look up jit.status and jit.util as they are now: a program may hide them later. May raise a memory error. */
void line_jit_open(line_jit *j, lua_State *L);
void line_jit_close(line_jit *j, lua_State *L);

/* Switch the compiler off, noting whether it was on, and drop all compiled code. 0, or LJINSPECT_ERR_BUSY where LuaJIT
 * does not allow it: luaJIT_setmode (lj_dispatch.c) raises an error inside a __gc finalizer. Calls do not nest. */
int line_jit_off(line_jit *j, lua_State *L);

/* Switch the compiler on again if line_jit_off() or line_jit_recheck() switched it off. 0 or LJINSPECT_ERR_BUSY. */
int line_jit_restore(line_jit *j, lua_State *L);

/* While it should be off: if the program has switched it on, switch it off, and on at the end. */
void line_jit_recheck(line_jit *j, lua_State *L);

/* Whether control can come back to `line` of the function of `ar` without leaving the line. True where that cannot be
 * told. */
bool line_jit_loops(line_jit *j, lua_State *L, const lua_Debug *ar, int line);

/* Forget what line_jit_loops found out: code may have changed. */
void line_jit_forget(line_jit *j);

/* Push the table jit.util, or nil. May raise a memory error. */
void line_jit_push_util(lua_State *L);

#endif
