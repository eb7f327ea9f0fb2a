#include "ahead_step.h"

enum { STEPS = 512 };

/* Compiled code of x86-64 begins with what it takes from the C stack, and the number of its trace (lj_asm.c:
 * asm_head_root). On arm64 the interpreter notes that it enters (vm_arm64.dasc, BC_JLOOP). */
static bool entered_trace(ahead *a) {
    unsigned char state[4];
    if (!target_read(a->t, a->vm->g + VM_G_VMSTATE, state, sizeof state)) a->failed = true;
    return !a->failed && vm_i32(state, 0) > (a->s->cpu == CPU_ARM64 ? -1 : 0);
}

/* Code of others is only followed where it leads here within a few instructions, or into compiled code. */
static bool follow(ahead *a) {
    enum { OTHERS = 3 };
    unsigned others = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        bool ours = ahead_in_code(a);
        if (!ours && others++ == OTHERS) return false;
        step result = a->s->cpu == CPU_ARM64 ? remote_ahead_step_arm64(a) : remote_ahead_step_x64(a);
        if (a->failed || result == STEP_UNKNOWN) return false;
        a->s->followed++;
        if (result != STEP_ON || (!ours && entered_trace(a))) return true;
    }
    return false;
}

static void take_flags(ahead *a, uint64_t flags) {
    enum { X64_CARRY = 1 << 0, X64_ZERO = 1 << 6, X64_SIGN = 1 << 7, X64_OVERFLOW = 1 << 11 };
    enum { ARM64_OVERFLOW = 1 << 28, ARM64_CARRY = 1 << 29, ARM64_ZERO = 1 << 30 };
    const bool arm64 = a->s->cpu == CPU_ARM64;
    a->flags_known = true;
    a->zero = (flags & (arm64 ? ARM64_ZERO : X64_ZERO)) != 0;
    a->carry = (flags & (arm64 ? ARM64_CARRY : X64_CARRY)) != 0;
    a->sign = (flags & (arm64 ? UINT64_C(1) << 31 : X64_SIGN)) != 0;
    a->overflow = (flags & (arm64 ? ARM64_OVERFLOW : X64_OVERFLOW)) != 0;
}

bool remote_ahead(target *t, const remote_vm *vm, remote_still *s) {
    const remote_still before = *s;
    ahead a = {.t = t, .vm = vm, .s = s, .r = s->reg};
    take_flags(&a, s->reg[STILL_FLAGS]);
    if (vm->dispatch == 0) return false;
    if (follow(&a)) return true;
    *s = before;
    return false;
}
