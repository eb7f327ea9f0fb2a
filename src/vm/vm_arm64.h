/*
 * The interpreter's C frame, arm64: in words from its stack pointer. lj_frame.h: CFRAME_OFS_* and CFRAME_SIZE for ARM64.
 */
#ifndef LJINSPECT_VM_ARM64_H
#define LJINSPECT_VM_ARM64_H

#include <stdint.h>

/* MULTRES and NRES are the low halves of their words. */
enum { VM_CFRAME_PREV = 0, VM_CFRAME_PC = 1, VM_CFRAME_L = 2, VM_CFRAME_MULTRES = 4, VM_CFRAME_NRES = 5 };
enum { VM_CFRAME_SIZE = 26 };

/* How many results the last instruction that leaves an open number of them has left. MULTRES counts bytes here
 * (CFRAME_SHIFT_MULTRES). */
static inline uint32_t vm_cframe_results(const uintptr_t *frame) {
    return ((uint32_t)frame[VM_CFRAME_MULTRES] >> 3) - 1;
}

#endif
