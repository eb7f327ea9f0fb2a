/*
 * Writing to standard error where its reader may have gone: SIGPIPE, which ends a process that does not expect it, is not for
 * the host to get for what we write. The line is lost, and no more.
 */
#ifndef LJINSPECT_PIPE_GUARD_H
#define LJINSPECT_PIPE_GUARD_H

#include <signal.h>
#include <stdbool.h>

typedef struct pipe_guard {
    sigset_t before; /* the thread's signal mask */
    bool on;
    int error; /* errno, which stays as it was */
} pipe_guard;

/* Between the two no SIGPIPE reaches the thread; one that waits for it since before goes on to wait. */
void pipe_guard_begin(pipe_guard *g);
void pipe_guard_end(const pipe_guard *g);

#endif
