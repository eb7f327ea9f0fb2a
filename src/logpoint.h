/*
 * The action behind a hook in table form: a condition, limits, and what is shown of the hits that are left.
 */
#ifndef LJINSPECT_LOGPOINT_H
#define LJINSPECT_LOGPOINT_H

#include "capture.h"

typedef struct logpoint logpoint;

/* What is wrong with what was asked for. */
typedef struct logpoint_error {
    int code; /* an ljinspect_error */
    char text[256];
} logpoint_error;

/* What a hit comes to. */
typedef enum logpoint_verdict {
    LOGPOINT_PASS,  /* not for the filter; the hook stays */
    LOGPOINT_MATCH, /* for the filter, if there is one; else the hook stays */
    LOGPOINT_LAST,  /* the same, and then the hook goes */
    LOGPOINT_OVER   /* the hook goes */
} logpoint_verdict;

/* Make one from what the user asked for; `sink_at` is the stack index of a Lua function that gets the lines, 0 for none.
 * NULL with *error. May raise a memory error; what was made by then is freed by logpoint_free() of *half. */
logpoint *logpoint_new(context *c, lua_State *L, const ljinspect_hook_options *asked, int sink_at, logpoint **half,
                       logpoint_error *error);
/* Only the function on top of the stack is hooked: others' arrivals at the line are passed over. May raise a memory
 * error. */
void logpoint_only(logpoint *p, context *c, lua_State *L);

/* Log the summaries of the VM's hooks that are due, and take away those that have expired; does nothing within a hit.
 * Raises no error. */
void logpoint_tend(context *c, lua_State *L);

/* NULL: none. */
const char *logpoint_tag(const logpoint *p);
void logpoint_free(logpoint *p, context *c);
/* The same for one that no hook owns: what the user gave is still the user's. */
void logpoint_abandon(logpoint *p, context *c);

/* Whether a hit is passed over for its condition, as far as that can be said quickly, outside of context_call(); else
 * logpoint_hit() is to be asked. Raises nothing. */
bool logpoint_rejects(logpoint *p, context *c, lua_State *L, const hook *h);

/* Deal with a hit. Runs inside context_call(); may raise memory errors, and what the condition raises. Leaves values on the
 * stack. */
logpoint_verdict logpoint_hit(logpoint *p, ljinspect_hit *hit);

/* logpoint_hit() was left by an error, which is on top of the stack and stays there: count it, and log the first of the
 * condition's and the first of what is shown. Raises no error. */
void logpoint_failed(logpoint *p, context *c, lua_State *L, hook *h);

#endif
