/*
 * What helps an engine to bring a VM to a safepoint when a change waits: a look at each garbage collection, on the VM's own
 * thread, by a userdata that is collected in each cycle and makes its own successor, which reaches a VM that is busy; and
 * the kernel's word on whether the VM's thread sleeps in a system call, for one that is idle and cannot run elsewhere.
 */
#ifndef LJINSPECT_WAKE_H
#define LJINSPECT_WAKE_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Runs in a finalizer on the VM's thread. Raises no error. False: it is not needed any more. */
typedef bool (*wake_cycle)(void *engine, lua_State *L);

typedef struct wake_aid {
    atomic_bool requested; /* a change waits */
    atomic_int thread;     /* kernel id of the thread that runs the VM; 0: not known */
    struct wake_sentinel *sentinel;
    wake_cycle cycle;
    void *engine;
} wake_aid;

/* The VM runs on the calling thread. */
void wake_here(wake_aid *w);

/*
 * Whether the VM is at rest at this moment, for its thread sleeps in a system call. False where that cannot be told, and where the
 * host has another thread: which of them runs the VM is known only when that calls us, and a VM may have been handed on
 * since, to run while the thread that had it sleeps. For the library's own threads.
 */
bool wake_asleep(const wake_aid *w);

/* Have w->cycle called in each garbage collection from now on. May raise a memory error. */
void wake_start_cycle(wake_aid *w, lua_State *L);
void wake_stop_cycle(wake_aid *w);

#endif
