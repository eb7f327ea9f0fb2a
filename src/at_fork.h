/* Handlers of fork(), registered by pthread_once(). */
#ifndef LJINSPECT_AT_FORK_H
#define LJINSPECT_AT_FORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Register them, and note in *registered whether that went well; unless `begun` says that it was begun: a child that another
 * thread forks meanwhile goes through its pthread_once() anew, and what is registered twice would take a lock twice. */
static inline void at_fork(atomic_flag *begun, bool *registered, void (*before)(void), void (*in_parent)(void),
                           void (*in_child)(void)) {
    if (!atomic_flag_test_and_set(begun)) *registered = pthread_atfork(before, in_parent, in_child) == 0;
}

#endif
