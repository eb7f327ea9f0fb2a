/*
 * What the stubs hand over, x86-64 (trap_x64.S).
 */
#ifndef LJINSPECT_TRAP_X64_H
#define LJINSPECT_TRAP_X64_H

#include "vm/vm.h"

typedef struct trap_regs {
    char *base;
    vm_ins *pc;
    uint64_t a, d, op;
    const void *vm; /* what tells the VM: its dispatch table */
    uintptr_t *frame;
    uint64_t r10, r11;
} trap_regs;

_Static_assert(sizeof(trap_regs) == 72 && offsetof(trap_regs, frame) == 48, "trap_x64.S");

static inline const void *trap_vm_of(const vm *v) {
    return v->dispatch;
}

/* Decode the instruction at `pc` again for the handler of `op` (vm_x64.dasc: vm_inshook). */
static inline void trap_decode(trap_regs *r, uint8_t op) {
    vm_ins ins = r->pc[-1];
    r->a = VM_INS_A(ins);
    r->d = VM_INS_D(ins);
    r->op = op;
}

/* At a function header: how many arguments there are; decode the header again (vm_x64.dasc: ins_callt). */
static inline uint32_t trap_arguments(const trap_regs *r) {
    return (uint32_t)r->d - 1;
}
static inline void trap_decode_header(trap_regs *r) {
    r->op = VM_INS_OP(r->pc[-1]);
    r->a = VM_INS_A(r->pc[-1]);
}

#endif
