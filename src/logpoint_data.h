/*
 * What a logpoint is made of: shared by logpoint.c, which makes it, and logpoint_hit.c, which deals with hits.
 */
#ifndef LJINSPECT_LOGPOINT_DATA_H
#define LJINSPECT_LOGPOINT_DATA_H

#include "expr.h"
#include "sink.h"
#include "snapshot.h"
#include "tally.h"

typedef struct part {
    const char *text; /* in the template */
    size_t len;
    bool expression;
    expr expr;
} part;

struct logpoint {
    resolver names;
    bool conditional;
    expr condition;
    bool in_condition;     /* it is being evaluated */
    bool held;             /* it was, for the hit at hand, and holds */
    bool condition_failed; /* it has raised an error, which was logged */
    bool show_failed;      /* the same for what comes after it */
    char *template;        /* NULL: none */
    part *parts;
    int n_parts;
    snapshot_options snapshot;
    enum ljinspect_level level;
    char *tag;
    /* limits */
    uint64_t left; /* hits until the last; 0: no end */
    uint64_t expires;
    uint64_t sample; /* a random number below it takes part; UINT64_MAX: all do */
    uint64_t random;
    uint64_t window, window_ticks; /* per_second */
    unsigned in_window, per_window;
    tally tally;
    char *histogram; /* the expression's text; NULL: none */
    expr values;
    char *function;   /* its name, of a hook on returns; NULL: not given */
    int only_ref;     /* a function: hits of others do not count; LUA_NOREF: none */
    const void *only; /* its address */
    /* where lines go */
    sink *file;
    ljinspect_sink_fn call;
    void *userdata;
    ljinspect_destroy_fn destroy;
    int sink_ref; /* a Lua function */
    bool sink_failed;
};

#endif
