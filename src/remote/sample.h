/*
 * One consistent look at a VM: what its thread runs, while it holds still.
 *
 * A thread that sleeps is read twice over: it must not have run between the beginning and the end. One that runs is
 * stopped for as long as the reading takes, and no longer than a time that a sound stack never needs. A look that fails a check is not shown: it counts as inconsistent.
 */
#ifndef LJINSPECT_REMOTE_SAMPLE_H
#define LJINSPECT_REMOTE_SAMPLE_H

#include "still.h"
#include "where.h"

enum { REMOTE_STACKS_MAX = 64, REMOTE_THREADS_MAX = 4096 };

typedef enum sample_result {
    SAMPLE_OK,
    SAMPLE_IDLE,         /* no Lua code runs in this VM */
    SAMPLE_OFF_CPU,      /* it waits, and only threads that run were asked for */
    SAMPLE_ON_CPU,       /* the other way round */
    SAMPLE_INCONSISTENT, /* it could not be read in a way that agrees with itself */
    SAMPLE_DENIED,       /* its thread could not be stopped: somebody else debugs it */
    SAMPLE_GONE,         /* the process has ended */
    SAMPLE_NO_MEMORY
} sample_result;

typedef struct remote_stack {
    remote_where where;
    remote_frames frames;
} remote_stack;

/* The coroutine that runs, the one that resumed it, and so on. */
typedef struct remote_sample {
    remote_stack stack[REMOTE_STACKS_MAX];
    size_t n;
    pid_t thread; /* 0: not known */
    uint64_t ip;  /* of the thread; 0: not known */
    bool on_cpu;
    unsigned tries;
    uint64_t stopped_ns; /* 0: it was not stopped */
} remote_sample;

/* Called while the target holds still, to read what else is wanted. It may be called again, when the first time turns
 * out not to have been consistent: the last call counts. */
typedef void (*remote_look_fn)(target *t, const remote_vm *vm, const remote_sample *s, void *arg);

typedef struct sample_options {
    size_t max_frames;              /* of each stack */
    bool only_on_cpu, only_waiting; /* with the latter nothing is stopped */
    remote_look_fn look;            /* or NULL */
    void *arg;
} sample_options;

/* `s` is zeroed before the first use, and may be used again; remote_free_sample() at the end. */
sample_result remote_sample_vm(target *t, remote_vm *vm, const sample_options *options, remote_sample *s);
void remote_free_sample(remote_sample *s);

/* The same of a still, whose thread has gone on since. `vm` is the one that the still names. What does not change, such as
 * prototypes, is read as it is now: who calls it calls target_forget() every now and then. SAMPLE_IDLE where the still's
 * thread is not the VM's. */
sample_result remote_sample_still(target *t, remote_vm *vm, remote_still *still, const sample_options *options,
                                  remote_sample *s);

/* The stack of a thread that does not run; it must hold still. */
sample_result remote_sample_thread(target *t, const remote_vm *vm, const remote_thread *thread, size_t max_frames,
                                   remote_stack *stack);

#endif
