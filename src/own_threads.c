#include "own_threads.h"

#include <pthread.h>
#include <stdatomic.h>

/* One word, so that both are read at once. */
enum { COUNT_BITS = 16 };
static const uint64_t version_one = (uint64_t)1 << COUNT_BITS;
static _Atomic uint64_t state; /* version, count */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool fork_safe;

/* A child has none of its parent's threads. */
static void in_child(void) {
    atomic_store(&state, 0);
}

static void prepare(void) {
    fork_safe = pthread_atfork(NULL, NULL, in_child) == 0;
}

bool own_threads_prepare(void) {
    return pthread_once(&once, prepare) == 0 && fork_safe;
}

void own_thread_begins(void) {
    if (fork_safe) atomic_fetch_add(&state, version_one + 1);
}

void own_thread_ends(void) {
    if (fork_safe) atomic_fetch_add(&state, version_one - 1);
}

unsigned own_threads(uint64_t *version) {
    uint64_t now = atomic_load(&state);
    *version = now >> COUNT_BITS;
    return (unsigned)(now & (version_one - 1));
}
