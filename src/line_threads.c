#include "line_threads.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64, CAPACITY_MAX = 1 << 20 };

static size_t slot_of(const void *const *set, size_t capacity, const void *thread) {
    size_t i = (size_t)(((uint64_t)(uintptr_t)thread * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (capacity - 1);
    while (set[i] != NULL && set[i] != thread) i = (i + 1) & (capacity - 1);
    return i;
}

/* Room for one more; false: there is none. At most half of the slots are used. */
static bool make_room(line_threads *t) {
    if (t->count * 2 < t->capacity) return true;
    size_t capacity = t->capacity != 0 ? t->capacity * 2 : CAPACITY_MIN;
    if (capacity > CAPACITY_MAX) return false;
    const void **set = calloc(capacity, sizeof *set);
    if (set == NULL) return false;
    for (size_t i = 0; i < t->capacity; i++)
        if (t->set[i] != NULL) set[slot_of(set, capacity, t->set[i])] = t->set[i];
    free((void *)t->set);
    t->set = set;
    t->capacity = capacity;
    return true;
}

void line_threads_reset(line_threads *t, const void *running) {
    if (t->count > 0) memset((void *)t->set, 0, t->capacity * sizeof *t->set);
    t->count = 0;
    t->full = false;
    t->last = NULL;
    line_threads_see(t, running);
}

void line_threads_clear(line_threads *t) {
    free((void *)t->set);
    *t = (line_threads){.last = NULL};
}

bool line_threads_see(line_threads *t, const void *thread) {
    t->last = thread;
    if (t->full) return false;
    if (!make_room(t)) {
        t->full = true;
        return false;
    }
    size_t i = slot_of(t->set, t->capacity, thread);
    if (t->set[i] == thread) return false;
    t->set[i] = thread;
    t->count++;
    return true;
}
