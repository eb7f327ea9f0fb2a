/*
 * Where the interpreter enters us, x86-64, System V.
 *
 * The dispatch table's slots point here, so control arrives by a jump with the interpreter's registers, as listed in
 * vm_x64.dasc and checked against vm_inshook by vm_dispatch.c:
 *   rdx BASE, rbx PC (past the instruction), ecx A, eax D (or number of arguments + 1 at a function header),
 *   ebp opcode, r14 DISPATCH, r15 KBASE; rsp is the interpreter's C frame, 16 byte aligned.
 * Each stub saves them in a `trap_regs`, calls its C side, loads them again, and jumps to the handler it was told. What
 * C preserves (rbx, rbp, r12 to r15) needs no saving but for C to see and change it; vector registers hold nothing
 * between two instructions.
 *
 * No error may come out of the C sides. The frame information below is for debuggers and profilers: the C frame is
 * that of lj_vm_call, 80 bytes (vm_x64.dasc: x64/POSIX stack layout).
 */
#if defined(__x86_64__)

#define REGS 80

    .macro ENTRY_STUB name, callee
    .globl \name
    .hidden \name
    .type \name, @function
    .p2align 4
\name:
    .cfi_startproc
    .cfi_def_cfa %rsp, 80
    .cfi_offset %rip, -8
    .cfi_offset %rbp, -16
    .cfi_offset %rbx, -24
    .cfi_offset %r15, -32
    .cfi_offset %r14, -40
    endbr64
    subq $REGS, %rsp
    .cfi_adjust_cfa_offset REGS
    movq %rdx, 0(%rsp)
    movq %rbx, 8(%rsp)
    movq %rcx, 16(%rsp)
    movq %rax, 24(%rsp)
    movq %rbp, 32(%rsp)
    movq %r14, 40(%rsp)
    leaq REGS(%rsp), %rax
    movq %rax, 48(%rsp)
    movq %r10, 56(%rsp)
    movq %r11, 64(%rsp)
    movq %rsp, %rdi
    call \callee
    movq %rax, %r9
    movq 0(%rsp), %rdx
    movq 8(%rsp), %rbx
    movq 16(%rsp), %rcx
    movq 24(%rsp), %rax
    movq 32(%rsp), %rbp
    movq 56(%rsp), %r10
    movq 64(%rsp), %r11
    addq $REGS, %rsp
    .cfi_adjust_cfa_offset -REGS
    jmp *%r9
    .cfi_endproc
    .size \name, . - \name
    .endm

    .text
    ENTRY_STUB trap_stub, trap_enter
    ENTRY_STUB trap_rearm_stub, trap_rearm
    ENTRY_STUB trap_rearm_fixed_stub, trap_rearm_fixed
    ENTRY_STUB trap_wake_stub, trap_wake
    ENTRY_STUB trap_pause_stub, trap_paused

#endif

    .section .note.GNU-stack, "", %progbits
