/*
 * What the stubs hand over, arm64 (trap_arm64.S).
 */
#ifndef LJINSPECT_TRAP_ARM64_H
#define LJINSPECT_TRAP_ARM64_H

#include "vm/vm.h"

typedef struct trap_regs {
    char *base;
    vm_ins *pc;
    uint64_t a, d;
    uint64_t op;    /* takes the place of the opcode in `ins`, from which handlers take B, and some their own opcode */
    uint64_t ins;   /* the instruction */
    const void *vm; /* what tells the VM: its global_State */
    uintptr_t *frame;
    uint64_t func; /* at a function header: the function */
} trap_regs;

_Static_assert(sizeof(trap_regs) == 72 && offsetof(trap_regs, frame) == 56, "trap_arm64.S");

static inline const void *trap_vm_of(const vm *v) {
    return v->g;
}

/* Decode the instruction at `pc` again for the handler of `op` (vm_arm64.dasc: vm_inshook). */
static inline void trap_decode(trap_regs *r, uint8_t op) {
    vm_ins ins = r->pc[-1];
    r->ins = ins;
    r->a = VM_INS_A(ins);
    r->d = VM_INS_D(ins);
    r->op = op;
}

/* At a function header: how many arguments there are; decode the header again, whose frame may have moved
 * (vm_arm64.dasc: ins_callt). */
static inline uint32_t trap_arguments(const trap_regs *r) {
    return (uint32_t)r->d / 8;
}
static inline void trap_decode_header(trap_regs *r) {
    vm_ins ins = r->pc[-1];
    r->ins = ins;
    r->op = VM_INS_OP(ins);
    r->a = (uint64_t)(uintptr_t)(r->base + 8 * (size_t)VM_INS_A(ins));
}

#endif
