/*
 * The interpreter's C frame, arm64: in words from its stack pointer. lj_frame.h: CFRAME_OFS_* and CFRAME_SIZE for ARM64.
 */
#ifndef LJINSPECT_VM_ARM64_H
#define LJINSPECT_VM_ARM64_H

/* MULTRES and NRES are the low halves of their words; MULTRES counts bytes here. */
enum {
    VM_ARM64_CFRAME_PREV = 0,
    VM_ARM64_CFRAME_PC = 1,
    VM_ARM64_CFRAME_L = 2,
    VM_ARM64_CFRAME_MULTRES = 4,
    VM_ARM64_CFRAME_NRES = 5,
    VM_ARM64_CFRAME_SIZE = 26,
    VM_ARM64_CFRAME_SHIFT_MULTRES = 3
};

#endif
