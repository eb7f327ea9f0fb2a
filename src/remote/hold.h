/*
 * Holding a process: all its threads stand at once, without a signal (PTRACE_SEIZE, PTRACE_INTERRUPT). When the tool ends,
 * however it does, the kernel lets them go. What would only stop the tool waits meanwhile: signals to it are blocked.
 */
#ifndef LJINSPECT_REMOTE_HOLD_H
#define LJINSPECT_REMOTE_HOLD_H

#include <signal.h>

#include "target.h"

typedef struct held_thread {
    pid_t id;
    bool stands, has_regs;
    int signal; /* that arrived for it meanwhile */
    target_regs regs;
} held_thread;

typedef struct hold {
    held_thread *threads;
    size_t n, max;
    unsigned missing; /* threads that did not come out of the kernel: they run no Lua, but may come back */
    uint64_t since_ns;
    sigset_t mask; /* of ours, as it was before */
} hold;

/* False with errno, and everything goes on: EPERM where a thread may not be stopped, or a debugger has it. */
bool hold_begin(hold *h, target *t);
/* Returns for how many nanoseconds the process stood. */
uint64_t hold_end(hold *h);

#endif
