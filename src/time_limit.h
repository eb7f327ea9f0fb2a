/*
 * How long the code behind a hook may run: past the limit it is interrupted with a Lua error.
 *
 * The engine lets us look every so many instructions of the interpreter. What cannot be interrupted: a single call of a
 * C function (string.rep, a slow pattern, a system call), and code that the program had compiled to machine code before
 * (compiled code calls no debug hooks). With an engine that cannot do it nothing is: time_limit_possible().
 */
#ifndef LJINSPECT_TIME_LIMIT_H
#define LJINSPECT_TIME_LIMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct context;

enum { TIME_LIMIT_MS = 50, TIME_LIMIT_MEMORY_MB = 256 };

typedef struct time_limit {
    double filter_ms;  /* 0: no limit */
    bool asked_for;    /* it was set by the user */
    bool active;       /* between time_limit_begin and time_limit_end */
    bool spent;        /* the limit is past: every instruction raises the error again */
    uint64_t deadline; /* ticks */
    int memory_kb;     /* in use at the beginning */
} time_limit;

bool time_limit_possible(const struct context *c);

/* From now on, until time_limit_end(). Does nothing where the limit is in force already, or there is none. */
void time_limit_begin(struct context *c, lua_State *L);
/* The same for a filter set in the four-argument form: where that would cost more than the filter, only if the user has set
 * a limit. */
void time_limit_begin_plain(struct context *c, lua_State *L);
void time_limit_end(struct context *c, lua_State *L);

#endif
