/*
 * What hooks cost, and what happens to those that cost too much.
 *
 * Each hit of a hook in table form is timed; of the others each where there is a budget for all, else some (see
 * capture.c). A hook whose hits took more than its budget of a second within that second is suspended: its
 * arrivals are counted and nothing else is done for them. It is resumed after 1 s; if it goes over its budget again
 * within 2 s after that, after 2 s, 4 s, 8 s, 16 s and 32 s; if then once more, it is removed. A budget for all hooks
 * together suspends, by the same rules, the one that took most of the second.
 */
#ifndef LJINSPECT_GOVERNOR_H
#define LJINSPECT_GOVERNOR_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "hooks.h"

struct context;

#define GOVERNOR_BUDGET 0.05   /* of a core, for a hook in table form */
#define GOVERNOR_SUSPENSIONS 6 /* in a row; then the hook is removed */

/* Of one hook. Times in ticks. */
typedef struct meter {
    double budget; /* part of a second; 0: none */
    uint64_t total, max;
    uint64_t second; /* when the second at hand began */
    uint64_t spent;  /* in it */
    uint64_t until;  /* suspended until then; 0: not */
    uint64_t back;   /* when it was resumed; 0: never suspended */
    int in_a_row;
    uint64_t suspensions;
} meter;

/* Of all hooks of a VM. */
typedef struct governor {
    double budget; /* 0: none */
    uint64_t second, spent;
} governor;

/* Whether a hook's arrival is to be passed over. Resumes it when its time has come. */
bool governor_suspended(struct context *c, lua_State *L, hook *h, uint64_t now);

/* The hook's hit lasted from `start` to `end`. May suspend or remove hooks, but not this one if it goes (not `stays`) now. */
void governor_charge(struct context *c, lua_State *L, hook *h, bool stays, uint64_t start, uint64_t end);

/* The meter in nanoseconds. */
void governor_cost(const hook *h, double *mean_ns, double *max_ns);

#endif
