/*
 * Which coroutines were seen since a hook was set: those that were not, and go on now, were suspended when it was set.
 *
 * Coroutines are compared, never followed. Whatever runs at the address of one that is gone begins with a call, which
 * nobody takes for the return of an earlier one.
 */
#ifndef LJINSPECT_LINE_THREADS_H
#define LJINSPECT_LINE_THREADS_H

#include <stdbool.h>
#include <stddef.h>

/* What zeroes make is empty. */
typedef struct line_threads {
    const void **set; /* open addressing; NULL: free */
    size_t capacity;  /* a power of two, or 0 */
    size_t count;
    const void *last; /* seen last: nearly always asked for again */
    bool full;        /* too many, or no memory: all count as seen */
} line_threads;

/* Forget all but `running`. */
void line_threads_reset(line_threads *t, const void *running);

/* Forget all and free the memory. */
void line_threads_clear(line_threads *t);

bool line_threads_see(line_threads *t, const void *thread);

/* Note the thread. Whether it is seen for the first time since the reset. */
static inline bool line_threads_is_new(line_threads *t, const void *thread) {
    return t->last != thread && line_threads_see(t, thread);
}

#endif
