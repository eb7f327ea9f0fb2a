/*
 * Where the interpreter enters us, arm64, AAPCS64.
 *
 * The dispatch table's slots point here, so control arrives by a jump with the interpreter's registers, as listed in
 * vm_arm64.dasc and checked against vm_inshook and BC_FUNCC by vm_arm64.c:
 *   x19 BASE, x20 KBASE, x21 PC (past the instruction), x22 global_State, x23 L, w16 the instruction,
 *   x27 A, x28 D; at a function header x27 the end of the frame, x28 the arguments in bytes, x2 the function;
 *   sp is the interpreter's C frame, 16 byte aligned, x29 the frame record in it.
 * Each stub saves them in a `trap_regs`, calls its C side, loads them again, and jumps to the handler it was told, with
 * the opcode it was told in the instruction, and in x9 what vm_inshook and its like find the static slot by: global_State
 * + 8 * opcode. What C preserves (x19 to x29, d8 to d15) needs no saving but for C to see and change it; other registers
 * hold nothing between two instructions.
 *
 * No error may come out of the C sides. The frame information below is for debuggers and profilers: the C frame is
 * that of lj_vm_call (vm_arm64.dasc: saveregs).
 */
#if defined(__aarch64__)

#define REGS 80

    /* `order`: another thread may have set the slot; what it wrote before is to be seen by what follows. */
    .macro ENTRY_STUB name, callee, order=0
    .globl \name
    .hidden \name
    .type \name, %function
    .p2align 4
\name:
    .cfi_startproc
    .cfi_def_cfa x29, 16
    .cfi_offset x30, -8
    .cfi_offset x29, -16
    .cfi_offset x19, -24
    .cfi_offset x20, -32
    .cfi_offset x21, -40
    .cfi_offset x22, -48
    .cfi_offset x23, -56
    .cfi_offset x24, -64
    .cfi_offset x25, -72
    .cfi_offset x26, -80
    .cfi_offset x27, -88
    .cfi_offset x28, -96
    hint #36 /* bti j */
    .if \order
    dmb ishld
    .endif
    sub sp, sp, #REGS
    stp x19, x21, [sp, #0]
    stp x27, x28, [sp, #16]
    and w8, w16, #0xff
    stp x8, x16, [sp, #32]
    add x9, sp, #REGS
    stp x22, x9, [sp, #48]
    str x2, [sp, #64]
    mov x0, sp
    bl \callee
    mov x8, x0
    ldp x19, x21, [sp, #0]
    ldp x27, x28, [sp, #16]
    ldp x9, x16, [sp, #32]
    ldr x2, [sp, #64]
    add sp, sp, #REGS
    bfi w16, w9, #0, #8
    add x9, x22, x9, lsl #3
    br x8 /* as the interpreter does: handlers have the landing pads for it */
    .cfi_endproc
    .size \name, . - \name
    .endm

    .text
    ENTRY_STUB trap_stub, trap_enter
    ENTRY_STUB trap_rearm_stub, trap_rearm
    ENTRY_STUB trap_rearm_fixed_stub, trap_rearm_fixed
    ENTRY_STUB trap_wake_stub, trap_wake, 1
    ENTRY_STUB trap_pause_stub, trap_paused, 1

    /* This code has landing pads, and signs no return addresses because it stores none: the library may be marked as
     * protected where its C parts are. */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .word 4, 16, 5 /* sizes of name and text; NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .word 0xc0000000, 4, 3, 0 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI, PAC; padded */

#endif

    .section .note.GNU-stack, "", %progbits
