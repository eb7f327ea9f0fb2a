/*
 * One instruction of the interpreter's machine code, carried out on a still. Inside of ahead.h.
 */
#ifndef LJINSPECT_REMOTE_AHEAD_STEP_H
#define LJINSPECT_REMOTE_AHEAD_STEP_H

#include "ahead.h"

/* How it went on: to the next, to an instruction of the bytecode, out of the interpreter's code, or it is not known. */
typedef enum step { STEP_ON, STEP_DISPATCHED, STEP_LEFT, STEP_UNKNOWN } step;

enum { AHEAD_CODE_MAX = 16 };

typedef struct ahead {
    target *t;
    const remote_vm *vm;
    remote_still *s;
    uint64_t *r;
    bool failed;
    bool flags_known, zero, carry, sign, overflow;
    /* An instruction of x86-64. */
    uint8_t code[AHEAD_CODE_MAX];
    unsigned at;
    unsigned rex, size;  /* of operands: 1, 2, 4 or 8 bytes */
    bool narrow, repeat; /* prefixes */
    /* The operand that is a register or in memory, and the one that is a register. */
    unsigned reg, rm;
    bool in_memory;
    uint64_t address;
} ahead;

step remote_ahead_step_x64(ahead *a);
step remote_ahead_step_arm64(ahead *a);

static inline bool ahead_in_code(const ahead *a) {
    return remote_in_interpreter(a->vm, a->r[STILL_IP]);
}

static inline step ahead_jump(ahead *a, uint64_t ip) {
    a->r[STILL_IP] = ip;
    return a->failed ? STEP_UNKNOWN : STEP_ON;
}

/* The same, where it may lead into C: what is stored by then tells more (where.c). */
static inline step ahead_jump_out(ahead *a, uint64_t ip) {
    ahead_jump(a, ip);
    return a->failed ? STEP_UNKNOWN : ahead_in_code(a) ? STEP_ON : STEP_LEFT;
}

static inline uint64_t ahead_load(ahead *a, uint64_t address, unsigned size) {
    unsigned char bytes[8] = {0};
    if (!target_read(a->t, address, bytes, size)) a->failed = true;
    return vm_u64(bytes, 0);
}

static inline void ahead_store(ahead *a, uint64_t address, uint64_t value, unsigned size) {
    if (!a->failed && !remote_still_write(a->s, address, value, size)) a->failed = true;
}

#endif
