/*
 * A hit as a filter sees it: the frame, its locals, upvalues and varargs; and running one filter.
 */
#ifndef LJINSPECT_CAPTURE_H
#define LJINSPECT_CAPTURE_H

#include "context.h"

struct ljinspect_hit {
    context *context;
    hook *hook;
    lua_State *L;
    lua_Debug frame; /* the hooked function's activation record, of which only the private part is kept */
};

/* The line of the hit: the hook's, or that of the return. */
int capture_line(const ljinspect_hit *hit);

/* Run the filter of one hook for the arrival at hand: the running function of L is the hooked one. Counts the hit, logs
 * errors, removes the hook unless the filter keeps it. Raises no error. */
void capture_run(context *c, lua_State *L, hook *h);

/* The text for ljinspect_getname. */
int capture_getname(const lua_Debug *ar, char *buffer, size_t size);

#endif
