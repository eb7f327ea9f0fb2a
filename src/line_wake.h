/*
 * How the line engine brings a VM to a safepoint when a change waits and no hook is armed.
 *
 * LuaJIT calls lua_sethook asynchronous, but it reads and writes the hook mask, the JIT state and the dispatch table
 * without a lock (lj_dispatch.c, lua_sethook and lj_dispatch_update): from another thread, while the VM runs, it could
 * leave the mask of a finalizer in force for good. So it is called
 *   - on the VM's own thread, by a userdata that is collected in each cycle of the garbage collector and makes its own
 *     successor: this reaches a VM that is busy;
 *   - from the watcher's thread, only while the kernel says that the VM's thread sleeps in a system call: this reaches a
 *     VM that is idle before its next line.
 */
#ifndef LJINSPECT_LINE_WAKE_H
#define LJINSPECT_LINE_WAKE_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Runs in a finalizer on the VM's thread. Raises no error. False: it is not needed any more. */
typedef bool (*line_wake_cycle)(void *engine, lua_State *L);

typedef struct line_wake {
    atomic_bool requested; /* a change waits */
    atomic_int thread;     /* kernel id of the thread that runs the VM; 0: not known */
    atomic_bool wanders;   /* seen on more than one thread: never to be called asleep */
    int process;           /* where `thread` belongs */
    struct line_sentinel *sentinel;
    line_wake_cycle cycle;
    void *engine;
} line_wake;

/* The VM runs on the calling thread. */
void line_wake_here(line_wake *w);

/* Whether the VM's thread sleeps in a system call at this moment. Any thread. False where that cannot be told. */
bool line_wake_asleep(const line_wake *w);

/* Have w->cycle called in each garbage collection from now on. May raise a memory error. */
void line_wake_start_cycle(line_wake *w, lua_State *L);
void line_wake_stop_cycle(line_wake *w);

#endif
