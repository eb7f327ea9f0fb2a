/*
 * Engines that are to be woken in a child process made by fork(), so that their VM comes to a safepoint there.
 */
#ifndef LJINSPECT_FOLLOW_H
#define LJINSPECT_FOLLOW_H

#include <stdbool.h>

#include "engine.h"

/* Part of whoever wants it; its memory must not move meanwhile. */
typedef struct follower {
    engine *engine; /* NULL: not entered */
    int thread;     /* kernel id of the thread that runs the VM: only if that one forks the child can go on */
    struct follower *prev, *next;
} follower;

/* Enter `f`: the VM runs on the calling thread. A second time only notes the thread. False: no memory. */
bool follow(follower *f, engine *e);

/* Take `f` out if it is in. */
void follow_end(follower *f);

#endif
