/*
 * What differs between processors: the interpreter's frame on the C stack, and what its machine code tells of a moment.
 */
#ifndef LJINSPECT_REMOTE_CPU_H
#define LJINSPECT_REMOTE_CPU_H

#include "vms.h"

/* How the interpreter goes on when a call into C returns. */
typedef enum remote_called {
    CALLED_STORED, /* it loads BASE from L->base: before the call it had stored it */
    CALLED_KEPT,   /* it has kept it in a register */
    CALLED_UNKNOWN
} remote_called;

typedef struct remote_cpu {
    /* The interpreter's frame, in words from its stack pointer (lj_frame.h). */
    unsigned cframe_prev, cframe_pc, cframe_l, cframe_nres, cframe_size;
    unsigned code_unit;    /* SnapShot.mcofs counts so many bytes of code */
    unsigned jloop_length; /* bytes of the way into compiled code, at most */
    bool traces_tell;      /* compiled code stores the number of its trace in the VM's state */
    /* Whether a branch has changed PC, and the instruction there is not dispatched yet: what stands before PC did not run. */
    bool (*just_branched)(target *t, uint64_t ip);
    /* Whether the interpreter stored PC before the call that returns to `ip`. */
    bool (*stored_pc)(target *t, uint64_t ip);
    remote_called (*after_call)(target *t, uint64_t ip);
    /* From C code up to what called it, as its registers were then; as many as are known. False where that is not known;
     * they stay as they were then.
     * `called`: ip is where a call will return to, which may be another function's when this one's last instruction calls.
     * NULL: return addresses lie where they are looked for. */
    bool (*unwind)(target *t, target_regs *regs, bool called);
} remote_cpu;

extern const remote_cpu REMOTE_CPU_X64, REMOTE_CPU_ARM64;

static inline const remote_cpu *remote_cpu_of(const target *t) {
    return target_cpu_of(t) == CPU_ARM64 ? &REMOTE_CPU_ARM64 : &REMOTE_CPU_X64;
}

/* What the register holds that tells which VM the interpreter runs. */
static inline uint64_t remote_vm_register(const target *t, const remote_vm *vm) {
    return target_cpu_of(t) == CPU_ARM64 ? vm->g : vm->dispatch;
}

/* One C function up on arm64, by what the program's files say for exceptions (unwind_arm64.c). */
bool remote_unwind_arm64(target *t, target_regs *regs, bool called);

#endif
