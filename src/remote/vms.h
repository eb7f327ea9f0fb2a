/*
 * Finding the LuaJIT VMs in a target by the structure of its memory; no symbols are needed.
 *
 * A VM's main thread and its global_State are one allocation and point at each other (lj_state.c: GG_State). Offsets that
 * differ between builds are found beside what is the same in all.
 */
#ifndef LJINSPECT_REMOTE_VMS_H
#define LJINSPECT_REMOTE_VMS_H

#include "../vm/vm_offsets.h"
#include "../vm/vm_ops.h"
#include "target.h"

#define REMOTE_WORD UINT64_C(8) /* bytes of a stack slot */

enum { REMOTE_VMS_MAX = 4096, REMOTE_G_SIZE = 512, REMOTE_VERSION_MAX = 48 };

typedef struct remote_vm {
    uint64_t main, g; /* lua_State, global_State */
    unsigned g_cur_l, g_jit_base;
    unsigned n_ops;                   /* opcodes below FUNCF */
    uint64_t dispatch;                /* address of the dispatch table; 0: not found */
    unsigned n_dispatch;              /* code pointers there, both halves */
    unsigned n_dynamic;               /* slots of the first half */
    uint64_t code;                    /* of the first opcode */
    uint64_t code_low, code_high;     /* the interpreter's code lies in between */
    uint64_t traces_at;               /* address of jit_State.trace, once it was needed; 0: not known */
    char version[REMOTE_VERSION_MAX]; /* "LuaJIT 2.1.0-beta3"; "": not found */
} remote_vm;

typedef struct remote_vms {
    remote_vm *list;
    size_t n;
    unsigned unknown;   /* things like VMs, of a build that is not understood */
    unsigned foreign;   /* VMs whose code is another processor's: an emulator runs it */
    bool too_many;      /* more than REMOTE_VMS_MAX */
    uint64_t scanned;   /* bytes */
    uint64_t untouched; /* bytes that were not looked at, for they were never written to */
    bool partial;       /* there is more address space, never touched as a rule, than was looked at */
    bool none_readable; /* no memory could be read at all */
} remote_vms;

/* Look at all private writable memory. False: no memory for the list. */
bool remote_find_vms(target *t, remote_vms *found);
void remote_free_vms(remote_vms *found);

/* What a VM does and has; false where it cannot be read or contradicts itself. */
typedef struct remote_state {
    int vmstate;       /* a trace's number, or the complement of VM_STATE_ */
    uint64_t current;  /* the thread that runs or ran last; 0: it is gone */
    uint64_t jit_base; /* its base while compiled code runs */
    uint64_t heap;     /* bytes */
    bool jit_on;
} remote_state;
bool remote_read_state(target *t, const remote_vm *vm, remote_state *state);

/* A thread (a coroutine, or the main thread). */
typedef struct remote_thread {
    uint64_t address;
    uint64_t base, top, stack, stack_end;
    uint64_t cframe; /* of the interpreter, on the C stack; 0: it does not run */
    uint8_t status;  /* 1: it has yielded */
} remote_thread;
/* False where there is no thread of this VM. */
bool remote_read_thread(target *t, const remote_vm *vm, uint64_t address, remote_thread *thread);

/* Visit the threads of a VM that the collector knows, the newest first; at most `max` objects are looked at. False where
 * the list is broken, as one that changes under the reader may be. */
typedef bool (*remote_visit_fn)(const remote_thread *thread, void *arg);
bool remote_each_thread(target *t, const remote_vm *vm, uint64_t max, remote_visit_fn visit, void *arg);

/* Whether `ip` is in the interpreter's code, or a little behind it. */
static inline bool remote_in_interpreter(const remote_vm *vm, uint64_t ip) {
    return ip >= vm->code_low && ip < vm->code_high;
}

/* The opcode that a number stands for; VM_OP_UNKNOWN where the build has others than we know. */
vm_op remote_op(const remote_vm *vm, vm_ins ins);

/* Address of an object in a tagged value of type `type`; 0 where it is none. */
static inline uint64_t remote_object(uint64_t value, int type) {
    return vm_type_of(value) == type ? value & VM_ADDRESS_MASK : 0;
}

#endif
