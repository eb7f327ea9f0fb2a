/*
 * From what the stubs know of a VM (trap_vm_of()) to its engine.
 *
 * The stubs know nothing but their registers, and VMs run in several threads. An open hash table of atomics: readers
 * take no lock, and look only for the VM their own thread runs, whose entry does not change meanwhile.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "at_fork.h"
#include "trap.h"

enum { SLOTS = 4096, USABLE = SLOTS / 2 };

static struct {
    _Atomic(const void *) known; /* NULL: never used; GONE: was used */
    _Atomic(trap_engine *) engine;
} table[SLOTS];
static const char gone;
static unsigned used; /* slots that are not NULL; under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool fork_safe;

static void take_lock(void) {
    pthread_mutex_lock(&lock);
}

static void leave_lock(void) {
    pthread_mutex_unlock(&lock);
}

/* A child must not find the lock held by a thread that it does not have: it opens and closes VMs, too. */
static void register_fork(void) {
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    at_fork(&begun, &fork_safe, take_lock, leave_lock, leave_lock);
}

static size_t start(const void *known) {
    return (size_t)(((uintptr_t)known >> 3) * 0x9e3779b97f4a7c15u >> 52);
}

bool trap_vms_add(trap_engine *e) {
    const void *known = trap_vm_of(&e->v);
    bool ok = false;
    if (pthread_once(&once, register_fork) != 0 || !fork_safe) return false;
    pthread_mutex_lock(&lock);
    for (size_t n = 0, i = start(known); n < SLOTS; n++, i = (i + 1) % SLOTS) {
        const void *d = atomic_load(&table[i].known);
        if (d == known) break; /* another engine serves this VM */
        if (d == NULL && used >= USABLE) break;
        if (d != NULL && d != &gone) continue;
        if (d == NULL) used++;
        atomic_store(&table[i].engine, e);
        atomic_store(&table[i].known, known);
        ok = true;
        break;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

void trap_vms_remove(trap_engine *e) {
    const void *known = trap_vm_of(&e->v);
    pthread_mutex_lock(&lock);
    for (size_t n = 0, i = start(known); n < SLOTS; n++, i = (i + 1) % SLOTS) {
        const void *d = atomic_load(&table[i].known);
        if (d == NULL) break;
        if (d != known) continue;
        /* The end of a chain can be free again; elsewhere others may lie behind. */
        bool last = atomic_load(&table[(i + 1) % SLOTS].known) == NULL;
        if (last) used--;
        atomic_store(&table[i].known, last ? NULL : &gone);
        break;
    }
    pthread_mutex_unlock(&lock);
}

trap_engine *trap_vms_find(const void *known) {
    for (size_t i = start(known);; i = (i + 1) % SLOTS) {
        const void *d = atomic_load_explicit(&table[i].known, memory_order_acquire);
        if (d == known) return atomic_load_explicit(&table[i].engine, memory_order_relaxed);
        if (d == NULL) return NULL;
    }
}
