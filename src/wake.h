/*
 * What helps an engine to bring a VM to a safepoint when a change waits: a look at each garbage collection, on the VM's own
 * thread, by a userdata that is collected in each cycle and makes its own successor, which reaches a VM that is busy; and
 * the kernel's word on whether the VM's thread sleeps in a system call, for one that is idle.
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
    atomic_bool wanders;   /* seen on more than one thread: never to be called asleep */
    int process;           /* where `thread` belongs */
    struct wake_sentinel *sentinel;
    wake_cycle cycle;
    void *engine;
} wake_aid;

/* The VM runs on the calling thread. */
void wake_here(wake_aid *w);

/* Whether the VM's thread sleeps in a system call at this moment. Any thread. False where that cannot be told. */
bool wake_asleep(const wake_aid *w);

/* Have w->cycle called in each garbage collection from now on. May raise a memory error. */
void wake_start_cycle(wake_aid *w, lua_State *L);
void wake_stop_cycle(wake_aid *w);

#endif
