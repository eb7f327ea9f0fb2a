/*
 * The interpreter's C frame, x86-64: in words from its stack pointer. lj_frame.h: CFRAME_OFS_* and CFRAME_SIZE for x64.
 */
#ifndef LJINSPECT_VM_X64_H
#define LJINSPECT_VM_X64_H

#include <stdint.h>

/* MULTRES and NRES are the low halves of their words. */
enum { VM_CFRAME_MULTRES = 0, VM_CFRAME_NRES = 1, VM_CFRAME_L = 2, VM_CFRAME_PC = 3, VM_CFRAME_PREV = 4 };
enum { VM_CFRAME_SIZE = 10 };

/* How many results the last instruction that leaves an open number of them has left. */
static inline uint32_t vm_cframe_results(const uintptr_t *frame) {
    return (uint32_t)frame[VM_CFRAME_MULTRES] - 1;
}

#endif
