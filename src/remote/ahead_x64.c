/*
 * The instructions of x86-64 that LuaJIT's interpreter is made of where it calls, returns and branches (vm_x64.dasc), and no
 * others. Memory is read from the still where that has it. What else is read there hardly changes: functions, prototypes,
 * bytecode. Numbers in SSE registers are not known: they go through as zero, and what depends on them is not followed.
 */
#include "ahead_step.h"

enum { RSP = 4, DISPATCH = 14 };

/* ---- Code ---- */

static uint64_t byte(ahead *a) {
    if (a->at < AHEAD_CODE_MAX) return a->code[a->at++];
    a->failed = true;
    return 0;
}

/* `n` bytes, with their sign. */
static uint64_t constant(ahead *a, unsigned n) {
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++) value |= byte(a) << 8 * i;
    unsigned shift = 64 - 8 * n;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static void read_operands(ahead *a) {
    unsigned modrm = (unsigned)byte(a), mode = modrm >> 6, low = modrm & 7;
    a->reg = (modrm >> 3 & 7) | (a->rex & 4) << 1;
    a->rm = low | (a->rex & 1) << 3;
    a->in_memory = mode != 3;
    if (!a->in_memory) return;
    a->address = 0;
    bool relative = mode == 0 && low == 5;
    if (low == RSP) {
        unsigned sib = (unsigned)byte(a), index = (sib >> 3 & 7) | (a->rex & 2) << 2, base = sib & 7;
        a->rm = base | (a->rex & 1) << 3;
        if (index != RSP) a->address += a->r[index] << (sib >> 6);
        if (mode == 0 && base == 5) {
            a->rm = 0; /* none */
            a->address += constant(a, 4);
        } else {
            a->address += a->r[a->rm];
        }
    } else if (!relative) {
        a->address += a->r[a->rm];
    }
    if (mode == 1) a->address += constant(a, 1);
    if (mode == 2) a->address += constant(a, 4);
    if (relative) a->failed = true; /* the interpreter has none */
}

/* ---- Operands ---- */

static uint64_t cut(uint64_t value, unsigned size) {
    return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

/* Without a REX prefix, registers 4 to 7 of one byte are the second bytes of the first four. */
static bool is_second_byte(const ahead *a, unsigned n, unsigned size) {
    return size == 1 && a->rex == 0 && n >= 4;
}

static uint64_t get_register(const ahead *a, unsigned n, unsigned size) {
    if (is_second_byte(a, n, size)) return a->r[n - 4] >> 8 & 0xff;
    return cut(a->r[n], size);
}

static void set_register(ahead *a, unsigned n, uint64_t value, unsigned size) {
    if (is_second_byte(a, n, size)) {
        a->r[n - 4] = (a->r[n - 4] & ~UINT64_C(0xff00)) | cut(value, 1) << 8;
    } else if (size >= 4) {
        a->r[n] = cut(value, size);
    } else {
        a->r[n] = (a->r[n] & ~cut(~UINT64_C(0), size)) | cut(value, size);
    }
}

static uint64_t get(ahead *a) {
    return a->in_memory ? ahead_load(a, a->address, a->size) : get_register(a, a->rm, a->size);
}

static void set(ahead *a, uint64_t value) {
    if (a->in_memory) {
        ahead_store(a, a->address, value, a->size);
    } else {
        set_register(a, a->rm, value, a->size);
    }
}

static void push(ahead *a, uint64_t value) {
    a->r[RSP] -= 8;
    ahead_store(a, a->r[RSP], value, 8);
}

static uint64_t pop(ahead *a) {
    uint64_t value = ahead_load(a, a->r[RSP], 8);
    a->r[RSP] += 8;
    return value;
}

/* ---- Arithmetic ---- */

static bool highest_bit(uint64_t value, unsigned size) {
    return (value >> (8 * size - 1) & 1) != 0;
}

static void set_flags(ahead *a, uint64_t result, bool carry, bool overflow) {
    a->flags_known = true;
    a->zero = cut(result, a->size) == 0;
    a->sign = highest_bit(result, a->size);
    a->carry = carry;
    a->overflow = overflow;
}

/* Operations in the order that their numbers have: add, or, adc, sbb, and, sub, xor, cmp. */
static uint64_t combine(ahead *a, unsigned operation, uint64_t x, uint64_t y) {
    uint64_t result = 0;
    x = cut(x, a->size);
    y = cut(y, a->size);
    switch (operation) {
    case 0:
        result = cut(x + y, a->size);
        set_flags(a, result, result < x, highest_bit(~(x ^ y) & (x ^ result), a->size));
        break;
    case 1: set_flags(a, result = x | y, false, false); break;
    case 4: set_flags(a, result = x & y, false, false); break;
    case 5:
    case 7:
        result = cut(x - y, a->size);
        set_flags(a, result, x < y, highest_bit((x ^ y) & (x ^ result), a->size));
        break;
    case 6: set_flags(a, result = x ^ y, false, false); break;
    default: a->failed = true;
    }
    return result;
}

/* 4 is shl, 5 shr, 7 sar. What is carried out, and the overflow, nobody asks for. */
static uint64_t shifted(ahead *a, unsigned operation, uint64_t x, unsigned n) {
    const unsigned bits = 8 * a->size;
    n &= bits == 64 ? 63 : 31;
    x = cut(x, a->size);
    if (operation == 4) x = n >= bits ? 0 : x << n;
    if (operation == 5) x = n >= bits ? 0 : x >> n;
    if (operation == 7) x = (uint64_t)((int64_t)(x << (64 - bits)) >> (64 - bits) >> (n < bits ? n : bits - 1));
    if (operation != 4 && operation != 5 && operation != 7) a->failed = true;
    a->flags_known = false;
    return x;
}

static bool condition(ahead *a, unsigned code) {
    bool holds = false;
    if (!a->flags_known) a->failed = true;
    switch (code >> 1) {
    case 0: holds = a->overflow; break;
    case 1: holds = a->carry; break;
    case 2: holds = a->zero; break;
    case 3: holds = a->carry || a->zero; break;
    case 4: holds = a->sign; break;
    case 6: holds = a->sign != a->overflow; break;
    case 7: holds = a->zero || a->sign != a->overflow; break;
    default: a->failed = true; /* parity: of numbers that are no numbers */
    }
    return holds != ((code & 1) != 0);
}

/* ---- Instructions ---- */

static step call(ahead *a, uint64_t to) {
    push(a, a->r[STILL_IP] + a->at);
    return ahead_jump_out(a, to);
}

static step leave(ahead *a) {
    return ahead_jump_out(a, pop(a));
}

static step indirect(ahead *a) {
    read_operands(a);
    a->size = 8;
    switch (a->reg & 7) {
    case 2: return call(a, get(a));
    case 4:
        ahead_jump(a, get(a));
        if (a->failed) return STEP_UNKNOWN;
        return a->in_memory && a->rm == DISPATCH ? STEP_DISPATCHED : STEP_ON;
    default: return STEP_UNKNOWN;
    }
}

/* Moves of SSE registers go on without what they hold; what takes it from there to elsewhere is not followed. */
static step sse(ahead *a, unsigned op) {
    read_operands(a);
    bool to_integer = op == 0x2c || op == 0x2d || (op == 0x7e && a->narrow && !a->in_memory);
    bool to_memory = a->in_memory && (op == 0x11 || (op == 0x7e && !a->repeat) || op == 0xd6);
    if (to_integer) return STEP_UNKNOWN;
    if (to_memory) {
        a->size = (op == 0x7e && (a->rex & 8) == 0) || (op == 0x11 && a->repeat) ? 4 : 8;
        set(a, 0);
    }
    if (op == 0x2e || op == 0x2f) a->flags_known = false; /* compare */
    return ahead_jump(a, a->r[STILL_IP] + a->at);
}

static bool is_sse(unsigned op) {
    return op == 0x10 || op == 0x11 || op == 0x28 || (op >= 0x2a && op <= 0x2f) || (op >= 0x51 && op <= 0x5f) ||
           op == 0x6e || op == 0x7e || op == 0xd6;
}

static step two_bytes(ahead *a) {
    unsigned op = (unsigned)byte(a), size = a->size;
    if (is_sse(op)) return sse(a, op);
    if (op >= 0x80 && op <= 0x8f) {
        uint64_t distance = constant(a, 4);
        return ahead_jump(a, a->r[STILL_IP] + a->at + (condition(a, op & 15) ? distance : 0));
    }
    read_operands(a);
    if (op >= 0x40 && op <= 0x4f) {
        uint64_t value = get(a);
        set_register(a, a->reg, condition(a, op & 15) ? value : get_register(a, a->reg, size), size);
    } else if (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf) {
        a->size = (op & 1) != 0 ? 2 : 1;
        uint64_t value = get(a), bits = 64 - 8 * a->size;
        if (op >= 0xbe) value = (uint64_t)((int64_t)(value << bits) >> bits);
        set_register(a, a->reg, value, size);
    } else if (op != 0x1f) { /* that one does nothing */
        return STEP_UNKNOWN;
    }
    return ahead_jump(a, a->r[STILL_IP] + a->at);
}

/* Two operands and one of eight operations. */
static void arithmetic(ahead *a, unsigned op) {
    const unsigned operation = op >> 3;
    uint64_t result;
    if ((op & 1) == 0) a->size = 1;
    if ((op & 7) >= 4) {
        result = combine(a, operation, a->r[0], constant(a, a->size < 4 ? a->size : 4));
        if (operation != 7) set_register(a, 0, result, a->size);
        return;
    }
    read_operands(a);
    uint64_t x = get(a), y = get_register(a, a->reg, a->size);
    bool to_register = (op & 2) != 0;
    result = combine(a, operation, to_register ? y : x, to_register ? x : y);
    if (operation == 7) return;
    if (to_register) {
        set_register(a, a->reg, result, a->size);
    } else {
        set(a, result);
    }
}

static void with_constant(ahead *a, unsigned op) {
    if (op == 0x80) a->size = 1;
    read_operands(a);
    uint64_t y = constant(a, op == 0x81 ? (a->size < 4 ? a->size : 4) : 1);
    uint64_t result = combine(a, a->reg & 7, get(a), y);
    if ((a->reg & 7) != 7) set(a, result);
}

/* test, not, neg */
static void unary(ahead *a, unsigned op) {
    if (op == 0xf6) a->size = 1;
    read_operands(a);
    uint64_t x = get(a);
    switch (a->reg & 7) {
    case 0: combine(a, 4, x, constant(a, a->size < 4 ? a->size : 4)); break;
    case 2: set(a, ~x); break;
    case 3: set(a, combine(a, 5, 0, x)); break;
    default: a->failed = true;
    }
}

static void move(ahead *a, unsigned op) {
    if (op == 0x88 || op == 0x8a || op == 0xc6) a->size = 1;
    read_operands(a);
    switch (op) {
    case 0x88:
    case 0x89: set(a, get_register(a, a->reg, a->size)); break;
    case 0x8a:
    case 0x8b: set_register(a, a->reg, get(a), a->size); break;
    default: set(a, constant(a, a->size < 4 ? a->size : 4)); break;
    }
}

static step one_byte(ahead *a, unsigned op) {
    if (op < 0x40 && (op & 7) < 6) {
        arithmetic(a, op);
    } else if (op >= 0x50 && op <= 0x57) {
        push(a, a->r[(op & 7) | (a->rex & 1) << 3]);
    } else if (op >= 0x58 && op <= 0x5f) {
        uint64_t value = pop(a);
        a->r[(op & 7) | (a->rex & 1) << 3] = value;
    } else if (op >= 0x70 && op <= 0x7f) {
        uint64_t distance = constant(a, 1);
        return ahead_jump(a, a->r[STILL_IP] + a->at + (condition(a, op & 15) ? distance : 0));
    } else if (op >= 0xb8 && op <= 0xbf) {
        set_register(a, (op & 7) | (a->rex & 1) << 3, constant(a, a->size), a->size);
    } else if (op >= 0xb0 && op <= 0xb7) {
        set_register(a, (op & 7) | (a->rex & 1) << 3, constant(a, 1), 1);
    } else {
        switch (op) {
        case 0x63:
            read_operands(a);
            a->size = 4;
            set_register(a, a->reg, (uint64_t)(int64_t)(int32_t)(uint32_t)get(a), 8);
            break;
        case 0x80:
        case 0x81:
        case 0x83: with_constant(a, op); break;
        case 0x84:
        case 0x85:
            if (op == 0x84) a->size = 1;
            read_operands(a);
            combine(a, 4, get(a), get_register(a, a->reg, a->size));
            break;
        case 0x88:
        case 0x89:
        case 0x8a:
        case 0x8b:
        case 0xc6:
        case 0xc7: move(a, op); break;
        case 0x8d:
            read_operands(a);
            set_register(a, a->reg, a->address, a->size);
            break;
        case 0x90: break;
        case 0xa8:
        case 0xa9:
            if (op == 0xa8) a->size = 1;
            combine(a, 4, a->r[0], constant(a, a->size < 4 ? a->size : 4));
            break;
        case 0xc1:
        case 0xd1:
            read_operands(a);
            set(a, shifted(a, a->reg & 7, get(a), op == 0xc1 ? (unsigned)constant(a, 1) : 1));
            break;
        case 0xc3: return leave(a);
        case 0xe8: {
            uint64_t distance = constant(a, 4);
            return call(a, a->r[STILL_IP] + a->at + distance);
        }
        case 0xe9:
        case 0xeb: {
            uint64_t distance = constant(a, op == 0xe9 ? 4 : 1);
            return ahead_jump(a, a->r[STILL_IP] + a->at + distance);
        }
        case 0xf6:
        case 0xf7: unary(a, op); break;
        case 0xff: return indirect(a);
        default: return STEP_UNKNOWN;
        }
    }
    return ahead_jump(a, a->r[STILL_IP] + a->at);
}

step remote_ahead_step_x64(ahead *a) {
    uint64_t op;
    a->at = a->rex = 0;
    a->narrow = a->repeat = false;
    if (!target_read(a->t, a->r[STILL_IP], a->code, AHEAD_CODE_MAX)) return STEP_UNKNOWN;
    for (;;) {
        op = byte(a);
        if (op != 0x66 && op != 0xf2 && op != 0xf3) break;
        a->narrow = a->narrow || op == 0x66;
        a->repeat = a->repeat || op == 0xf3;
    }
    if ((op & 0xf0) == 0x40) {
        a->rex = (unsigned)op;
        op = byte(a);
    }
    a->size = (a->rex & 8) != 0 ? 8 : a->narrow ? 2 : 4;
    return op == 0x0f ? two_bytes(a) : one_byte(a, (unsigned)op);
}
