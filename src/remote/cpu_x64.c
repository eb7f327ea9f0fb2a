/*
 * x86-64: what is known of vm_x64.dasc.
 */
#include <string.h>

#include "cpu.h"

/* lea rbx, [rbx+reg*4-0x20000] without an add rbx, 4 after it. */
static bool just_branched(target *t, uint64_t ip) {
    enum { LOOK = 24, LEA = 8, ADD = 4 };
    uint8_t code[LOOK];
    if (!target_read(t, ip - LOOK, code, sizeof code)) return true;
    for (int i = LOOK - LEA; i >= 0; i--) {
        const uint8_t *c = code + i;
        if (memcmp(c, "\x48\x83\xc3\x04", ADD) == 0) return false;
        if ((c[0] & 0xf8) == 0x48 && c[1] == 0x8d && c[2] == 0x9c && memcmp(c + 4, "\0\0\xfe\xff", 4) == 0) {
            for (int k = i + LEA; k + ADD <= LOOK; k++)
                if (memcmp(code + k, "\x48\x83\xc3\x04", ADD) == 0) return false;
            return true;
        }
    }
    return false;
}

/* mov [rsp+24], rbx */
static bool stored_pc(target *t, uint64_t ip) {
    enum { LOOK = 64 };
    uint8_t code[LOOK];
    return target_read(t, ip - LOOK, code, sizeof code) && memmem(code, sizeof code, "\x48\x89\x5c\x24\x18", 5) != NULL;
}

/* mov rdx, [reg+L.base], or mov rdx, rbp. A short jump behind the call is followed. */
static remote_called after_call(target *t, uint64_t ip) {
    enum { LOOK = 40, RDX = 2, RBP = 5 };
    uint8_t code[LOOK];
    for (int jumps = 0; jumps < 2; jumps++) {
        if (!target_read(t, ip, code, sizeof code)) return CALLED_UNKNOWN;
        if (code[0] == 0xeb) {
            ip += 2 + (uint64_t)(int64_t)(int8_t)code[1];
        } else if (code[0] == 0xe9) {
            ip += 5 + (uint64_t)(int64_t)vm_i32(code, 1);
        } else {
            break;
        }
    }
    for (unsigned i = 0; i + 4 <= LOOK; i++) {
        if ((code[i] & 0xfe) == 0x48 && code[i + 1] == 0x8b && (code[i + 2] & 0xf8) == (0x40 | RDX << 3) &&
            (code[i + 2] & 7) != 4 && code[i + 3] == VM_L_BASE)
            return CALLED_STORED;
        if (code[i] == 0x48 && ((code[i + 1] == 0x89 && code[i + 2] == (0xc0 | RBP << 3 | RDX)) ||
                                (code[i + 1] == 0x8b && code[i + 2] == (0xc0 | RDX << 3 | RBP))))
            return CALLED_KEPT;
    }
    return CALLED_UNKNOWN;
}

const remote_cpu REMOTE_CPU_X64 = {.cframe_prev = VM_X64_CFRAME_PREV,
                                   .cframe_pc = VM_X64_CFRAME_PC,
                                   .cframe_l = VM_X64_CFRAME_L,
                                   .cframe_nres = VM_X64_CFRAME_NRES,
                                   .cframe_size = VM_X64_CFRAME_SIZE,
                                   .code_unit = 1,
                                   .jloop_length = 96,
                                   .traces_tell = true,
                                   .just_branched = just_branched,
                                   .stored_pc = stored_pc,
                                   .after_call = after_call};
