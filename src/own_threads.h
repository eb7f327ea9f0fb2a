/* How many of the process's threads are this library's own: watchers, and writers of sinks. */
#ifndef LJINSPECT_OWN_THREADS_H
#define LJINSPECT_OWN_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* Before such a thread is started. False: it is taken for one of the host's, which costs a safepoint and no more. */
bool own_threads_prepare(void);

/* On such a thread: the first and the last thing it does. */
void own_thread_begins(void);
void own_thread_ends(void);

/* How many there are now. Never more than there are in the process, for a thread counts only while it runs. `*version` is another
 * one after each change: whoever compares this with another count looks at it before and after. */
unsigned own_threads(uint64_t *version);

#endif
