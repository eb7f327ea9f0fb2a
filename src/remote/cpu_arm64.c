/*
 * arm64: what is known of vm_arm64.dasc. The interpreter's registers are such as C functions keep (x19 to x28): what called
 * a C function has them as they were.
 */
#include "cpu.h"

enum { WORD = 4 };

/* Instructions: what must be as it is. */
enum {
    LOAD_INS = (int)0xb84046b0, /* ldr w16, [x21], #4: fetches the next one, and advances PC */
    BRANCH = (int)0xd1408015,
    BRANCH_MASK = (int)0xfffffc1f, /* sub x21, xN, #0x20000 */
    SELECT = (int)0x9a800015,
    SELECT_MASK = (int)0xffe00c1f, /* csel x21, xN, xM, condition */
    STORE_PC = (int)0xf90007f5,    /* str x21, [sp, #8] */
    LOAD_BASE = (int)0xf94012f3,   /* ldr x19, [x23, #32] */
    LOAD_PAIR = (int)0xa94202f3,
    LOAD_PAIR_MASK = (int)0xffff83ff, /* ldp x19, xN, [x23, #32] */
    JUMP = 0x14000000,
    JUMP_MASK = (int)0xfc000000 /* b */
};

_Static_assert(VM_L_BASE == 32 && VM_ARM64_CFRAME_PC == 1, "offsets in the instructions above");

static bool is(uint32_t code, int bits, int mask) {
    return (code & (uint32_t)mask) == (uint32_t)bits;
}

static bool just_branched(target *t, uint64_t ip) {
    enum { LOOK = 8 };
    uint32_t code[LOOK];
    if (!target_read(t, ip - sizeof code, code, sizeof code)) return true;
    for (int i = LOOK - 1; i >= 0; i--) {
        if (is(code[i], LOAD_INS, -1)) return false;
        if (is(code[i], BRANCH, BRANCH_MASK) || is(code[i], SELECT, SELECT_MASK)) return true;
    }
    return false;
}

static bool stored_pc(target *t, uint64_t ip) {
    enum { LOOK = 16 };
    uint32_t code[LOOK];
    if (!target_read(t, ip - sizeof code, code, sizeof code)) return false;
    for (int i = LOOK - 1; i >= 0; i--)
        if (is(code[i], STORE_PC, -1)) return true;
    return false;
}

static remote_called after_call(target *t, uint64_t ip) {
    enum { LOOK = 12, JUMPS = 2 };
    for (int i = 0, jumps = 0; i < LOOK; i++) {
        uint32_t code;
        if (!target_read(t, ip, &code, sizeof code)) return CALLED_UNKNOWN;
        if (is(code, LOAD_BASE, -1) || is(code, LOAD_PAIR, LOAD_PAIR_MASK)) return CALLED_STORED;
        if (is(code, LOAD_INS, -1)) return CALLED_KEPT;
        if (is(code, JUMP, JUMP_MASK)) {
            if (jumps++ == JUMPS) break;
            ip += (uint64_t)((int64_t)(int32_t)(code << 6) >> 6) * WORD;
        } else {
            ip += WORD;
        }
    }
    return CALLED_UNKNOWN;
}

const remote_cpu REMOTE_CPU_ARM64 = {.cframe_prev = VM_ARM64_CFRAME_PREV,
                                     .cframe_pc = VM_ARM64_CFRAME_PC,
                                     .cframe_l = VM_ARM64_CFRAME_L,
                                     .cframe_nres = VM_ARM64_CFRAME_NRES,
                                     .cframe_size = VM_ARM64_CFRAME_SIZE,
                                     .code_unit = WORD,
                                     .jloop_length = 11 * WORD, /* a landing pad included */
                                     .traces_tell = false,
                                     .just_branched = just_branched,
                                     .stored_pc = stored_pc,
                                     .after_call = after_call,
                                     .unwind = remote_unwind_arm64};
