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
    double filter_ms;  /* for what hooks in table form run; 0: no limit */
    double plain_ms;   /* for filters set in the four-argument form; 0: no limit */
    double ms;         /* the one in force */
    bool active;       /* between time_limit_begin and time_limit_end */
    bool spent;        /* the limit is past: every instruction raises the error again */
    uint64_t deadline; /* ticks */
    int memory_kb;     /* in use at the beginning */
} time_limit;

bool time_limit_possible(const struct context *c);

/* From now on, until time_limit_end(), what runs is limited to `filter_ms`. Does nothing where a limit is in force already,
 * or there is none. */
void time_limit_begin(struct context *c, lua_State *L);
/* The same for what runs next, whatever time what ran before has taken: its limit is `ms`; 0: none. */
void time_limit_begin_anew(struct context *c, lua_State *L, double ms);
void time_limit_end(struct context *c, lua_State *L);

#endif
