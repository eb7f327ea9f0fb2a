/*
 * The interpreter's C frame, x86-64: in words from its stack pointer. lj_frame.h: CFRAME_OFS_* and CFRAME_SIZE for x64.
 */
#ifndef LJINSPECT_VM_X64_H
#define LJINSPECT_VM_X64_H

/* MULTRES and NRES are the low halves of their words. */
enum {
    VM_X64_CFRAME_MULTRES = 0,
    VM_X64_CFRAME_NRES = 1,
    VM_X64_CFRAME_L = 2,
    VM_X64_CFRAME_PC = 3,
    VM_X64_CFRAME_PREV = 4,
    VM_X64_CFRAME_SIZE = 10,
    VM_X64_CFRAME_SHIFT_MULTRES = 0
};

#endif
