/*
 * The instructions of arm64 that LuaJIT's interpreter is made of (vm_arm64.dasc). Numbers in floating-point registers are
 * not known: they go through as zero, and what depends on them is not followed.
 */
#include "ahead_step.h"

enum { LR = 30, SP = 31, ZERO = 31 };

/* `n` bits from bit `at` on. */
static uint32_t field(uint32_t code, unsigned at, unsigned n) {
    return code >> at & ((UINT32_C(1) << n) - 1);
}

static int64_t signed_field(uint32_t code, unsigned at, unsigned n) {
    return (int64_t)((uint64_t)code << (64 - at - n)) >> (64 - n);
}

/* ---- Registers ---- */

static uint64_t cut(uint64_t value, bool wide) {
    return wide ? value : (uint32_t)value;
}

static uint64_t get(const ahead *a, unsigned n, bool wide) {
    return n == ZERO ? 0 : cut(a->r[n], wide);
}

static uint64_t get_or_sp(const ahead *a, unsigned n, bool wide) {
    return cut(a->r[n], wide);
}

static void set(ahead *a, unsigned n, uint64_t value, bool wide) {
    if (n != ZERO) a->r[n] = cut(value, wide);
}

static step next(ahead *a) {
    return ahead_jump(a, a->r[STILL_IP] + 4);
}

/* ---- Arithmetic ---- */

static bool highest(uint64_t value, bool wide) {
    return (value >> (wide ? 63 : 31) & 1) != 0;
}

static void set_flags(ahead *a, uint64_t result, bool carry, bool overflow, bool wide) {
    a->flags_known = true;
    a->zero = cut(result, wide) == 0;
    a->sign = highest(result, wide);
    a->carry = carry;
    a->overflow = overflow;
}

/* x + y, or x - y. */
static uint64_t add(ahead *a, uint64_t x, uint64_t y, bool subtract, bool flags, bool wide) {
    x = cut(x, wide);
    y = cut(y, wide);
    uint64_t result = cut(subtract ? x - y : x + y, wide);
    bool carry = subtract ? x >= y : result < x;
    uint64_t differs = subtract ? x ^ y : ~(x ^ y);
    if (flags) set_flags(a, result, carry, highest(differs & (x ^ result), wide), wide);
    return result;
}

static bool condition(ahead *a, unsigned code) {
    bool holds = true;
    if (!a->flags_known && code < 14) a->failed = true;
    switch (code >> 1) {
    case 0: holds = a->zero; break;
    case 1: holds = a->carry; break;
    case 2: holds = a->sign; break;
    case 3: holds = a->overflow; break;
    case 4: holds = a->carry && !a->zero; break;
    case 5: holds = a->sign == a->overflow; break;
    case 6: holds = !a->zero && a->sign == a->overflow; break;
    default: return true;
    }
    return holds != ((code & 1) != 0);
}

static uint64_t rotate(uint64_t value, unsigned n, unsigned bits) {
    n %= bits;
    if (n == 0) return value;
    value = value >> n | value << (bits - n);
    return bits == 64 ? value : value & ((UINT64_C(1) << bits) - 1);
}

/* lsl, lsr, asr, ror */
static uint64_t shifted(uint64_t value, unsigned kind, unsigned n, bool wide) {
    const unsigned bits = wide ? 64 : 32;
    value = cut(value, wide);
    n %= bits;
    switch (kind) {
    case 0: return cut(value << n, wide);
    case 1: return value >> n;
    case 2: return cut((uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits) >> n), wide);
    default: return rotate(value, n, bits);
    }
}

/* uxtb, uxth, uxtw, uxtx, sxtb, sxth, sxtw, sxtx, and then lsl */
static uint64_t extended(uint64_t value, unsigned kind, unsigned shift) {
    const unsigned bits = 8U << (kind & 3);
    uint64_t low = value << (64 - bits);
    low = kind >= 4 ? (uint64_t)((int64_t)low >> (64 - bits)) : low >> (64 - bits);
    return low << shift;
}

/* The pattern that an immediate operand of and, orr and eor stands for. False where it stands for none. */
static bool pattern(uint32_t code, bool wide, uint64_t *mask) {
    const unsigned n = field(code, 22, 1), turn = field(code, 16, 6), ones = field(code, 10, 6);
    const unsigned which = n << 6 | (~ones & 0x3f);
    unsigned size = 64;
    if (which == 0 || (n == 1 && !wide)) return false;
    while ((which & size) == 0) size /= 2;
    if (size < 2) return false;
    const unsigned count = (ones & (size - 1)) + 1;
    if (count == size) return false;
    uint64_t one = rotate((UINT64_C(1) << count) - 1, turn & (size - 1), size);
    for (; size < 64; size *= 2) one |= one << size;
    *mask = cut(one, wide);
    return true;
}

/* ---- Instructions with a constant ---- */

static step constant(ahead *a, uint32_t code) {
    const unsigned d = field(code, 0, 5), n = field(code, 5, 5), kind = field(code, 23, 3), op = field(code, 29, 2);
    const bool wide = code >> 31 != 0;
    uint64_t mask, value;
    switch (kind) {
    case 0:
    case 1: { /* adr, adrp */
        uint64_t distance = (uint64_t)(signed_field(code, 5, 19) * 4) | op;
        uint64_t from = a->r[STILL_IP];
        set(a, d, wide ? (from & ~UINT64_C(0xfff)) + (distance << 12) : from + distance, true);
        return next(a);
    }
    case 2: { /* add, sub */
        const bool flags = (op & 1) != 0;
        value = add(a, get_or_sp(a, n, wide), (uint64_t)field(code, 10, 12) << (field(code, 22, 1) != 0 ? 12 : 0),
                    (op & 2) != 0, flags, wide);
        if (!flags) {
            a->r[d] = value;
        } else {
            set(a, d, value, wide);
        }
        return next(a);
    }
    case 4: /* and, orr, eor, ands */
        if (!pattern(code, wide, &mask)) return STEP_UNKNOWN;
        value = get(a, n, wide);
        value = op == 1 ? value | mask : op == 2 ? value ^ mask : value & mask;
        if (op == 3) {
            set_flags(a, value, false, false, wide);
            set(a, d, value, wide);
        } else {
            a->r[d] = cut(value, wide);
        }
        return next(a);
    case 5: { /* movn, movz, movk */
        const unsigned shift = 16 * field(code, 21, 2);
        value = (uint64_t)field(code, 5, 16) << shift;
        if (op == 0) value = ~value;
        if (op == 1) return STEP_UNKNOWN;
        if (op == 3) value |= get(a, d, true) & ~(UINT64_C(0xffff) << shift);
        set(a, d, value, wide);
        return next(a);
    }
    case 6: { /* sbfm, bfm, ubfm: shifts, parts, extensions */
        const unsigned from = field(code, 16, 6), last = field(code, 10, 6), bits = wide ? 64 : 32;
        const unsigned width = last >= from ? last - from + 1 : last + 1, to = last >= from ? 0 : bits - from;
        const uint64_t ones = width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1;
        if (op == 3 || from >= bits || last >= bits) return STEP_UNKNOWN;
        value = get(a, n, wide) >> (last >= from ? from : 0) & ones;
        if (op == 0) value = (uint64_t)((int64_t)(value << (64 - width)) >> (64 - width));
        value <<= to;
        if (op == 1) value |= get(a, d, wide) & ~(ones << to);
        set(a, d, value, wide);
        return next(a);
    }
    case 7: { /* extr, ror */
        const unsigned low = field(code, 10, 6), m = field(code, 16, 5), bits = wide ? 64 : 32;
        if (op != 0 || low >= bits) return STEP_UNKNOWN;
        value = get(a, m, wide) >> low;
        if (low > 0) value |= get(a, n, wide) << (bits - low);
        set(a, d, value, wide);
        return next(a);
    }
    default: return STEP_UNKNOWN;
    }
}

/* ---- Branches ---- */

static bool begins_instruction(ahead *a, uint64_t ip) {
    uint64_t handler;
    for (unsigned i = 0; i < a->vm->n_dispatch; i++)
        if (target_u64(a->t, a->vm->dispatch + 8 * (uint64_t)i, &handler) && handler == ip) return true;
    return false;
}

/* br, blr, ret */
static step to_register(ahead *a, uint32_t code) {
    const uint64_t to = get(a, field(code, 5, 5), true);
    switch (code & 0xfffffc1f) {
    case 0xd61f0000: {
        step result = ahead_jump_out(a, to);
        return result == STEP_ON && begins_instruction(a, to) ? STEP_DISPATCHED : result;
    }
    case 0xd63f0000: a->r[LR] = a->r[STILL_IP] + 4; return ahead_jump_out(a, to);
    case 0xd65f0000: return ahead_jump_out(a, to);
    default: return STEP_UNKNOWN;
    }
}

static step branch(ahead *a, uint32_t code) {
    const uint64_t ip = a->r[STILL_IP], near = ip + (uint64_t)(signed_field(code, 5, 19) * 4);
    const bool wide = code >> 31 != 0, other = field(code, 24, 1) != 0;
    if (field(code, 26, 5) == 5) { /* b, bl */
        if (wide) a->r[LR] = ip + 4;
        return ahead_jump_out(a, ip + (uint64_t)(signed_field(code, 0, 26) * 4));
    }
    switch (field(code, 25, 6)) {
    case 0x1a: /* cbz, cbnz */ return ahead_jump(a, (get(a, field(code, 0, 5), wide) == 0) != other ? near : ip + 4);
    case 0x1b: { /* tbz, tbnz */
        const unsigned bit = field(code, 19, 5) | (unsigned)wide << 5;
        const bool set = (get(a, field(code, 0, 5), true) >> bit & 1) != 0;
        return ahead_jump(a, set == other ? ip + (uint64_t)(signed_field(code, 5, 14) * 4) : ip + 4);
    }
    default: break;
    }
    if ((code & 0xff000010) == 0x54000000) return ahead_jump(a, condition(a, field(code, 0, 4)) ? near : ip + 4);
    if (field(code, 25, 7) == 0x6b) return to_register(a, code);
    if (code == 0xd503201f || (code & 0xffffff3f) == 0xd503241f) return next(a); /* nop, bti */
    return STEP_UNKNOWN;
}

/* ---- Memory ---- */

/* A load or a store of `size` bytes. Of floating-point registers the value is not known. */
static void access(ahead *a, uint64_t address, unsigned size, bool load, bool sign, bool wide, bool number,
                   unsigned t) {
    if (number) {
        for (unsigned at = 0; !load && at < size; at += 8) ahead_store(a, address + at, 0, size < 8 ? size : 8);
        return;
    }
    if (!load) {
        ahead_store(a, address, get(a, t, true), size);
        return;
    }
    uint64_t value = ahead_load(a, address, size);
    if (sign) value = (uint64_t)((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size));
    set(a, t, value, !sign || wide);
}

/* Where it is, and the base register moved where it moves. */
static uint64_t place(ahead *a, unsigned n, int64_t offset, bool before, bool moves) {
    const uint64_t base = a->r[n];
    if (moves) a->r[n] = base + (uint64_t)offset;
    return before ? base + (uint64_t)offset : base;
}

/* ldp, stp */
static step pair(ahead *a, uint32_t code) {
    const unsigned kind = field(code, 30, 2), mode = field(code, 23, 2);
    const bool number = field(code, 26, 1) != 0, load = field(code, 22, 1) != 0;
    const unsigned size = number ? 4U << kind : kind == 2 ? 8 : 4;
    if (kind == 3) return STEP_UNKNOWN;
    const uint64_t at =
        place(a, field(code, 5, 5), signed_field(code, 15, 7) * (int64_t)size, mode != 1, (mode & 1) != 0);
    const bool sign = !number && kind == 1;
    access(a, at, size, load, sign, true, number, field(code, 0, 5));
    access(a, at + size, size, load, sign, true, number, field(code, 10, 5));
    return next(a);
}

/* ldr, str and their kin */
static step single(ahead *a, uint32_t code) {
    const bool number = field(code, 26, 1) != 0;
    const unsigned n = field(code, 5, 5), t = field(code, 0, 5), op = field(code, 22, 2);
    const unsigned log = number && op >= 2 ? 4 : field(code, 30, 2), size = 1U << log;
    uint64_t at;
    if (field(code, 24, 1) != 0) {
        at = a->r[n] + (uint64_t)field(code, 10, 12) * size;
    } else if (field(code, 21, 1) == 0) {
        const unsigned mode = field(code, 10, 2);
        if (mode == 2) return STEP_UNKNOWN;
        at = place(a, n, signed_field(code, 12, 9), mode != 1, mode != 0);
    } else if (field(code, 10, 2) == 2) {
        at =
            a->r[n] + extended(get(a, field(code, 16, 5), true), field(code, 13, 3), field(code, 12, 1) != 0 ? log : 0);
    } else {
        return STEP_UNKNOWN;
    }
    if (!number && op >= 2 && log == 3) return op == 2 ? next(a) : STEP_UNKNOWN; /* prfm */
    access(a, at, size, number ? (op & 1) != 0 : op != 0, !number && op >= 2, op == 2, number, t);
    return next(a);
}

static step memory(ahead *a, uint32_t code) {
    switch (field(code, 27, 3)) {
    case 5: return pair(a, code);
    case 7: return single(a, code);
    case 3: /* ldr from the code */
        if (field(code, 24, 6) != 0x18) return STEP_UNKNOWN;
        set(a, field(code, 0, 5),
            ahead_load(a, a->r[STILL_IP] + (uint64_t)(signed_field(code, 5, 19) * 4), code >> 30 == 1 ? 8 : 4), true);
        return code >> 30 <= 1 ? next(a) : STEP_UNKNOWN;
    default: return STEP_UNKNOWN;
    }
}

/* ---- Instructions on registers ---- */

static step two_sources(ahead *a, uint32_t code, bool wide) {
    const unsigned op = field(code, 10, 6), d = field(code, 0, 5);
    uint64_t x = get(a, field(code, 5, 5), wide), y = get(a, field(code, 16, 5), wide);
    switch (op) {
    case 2: set(a, d, y == 0 ? 0 : x / y, wide); return next(a);
    case 3: {
        const unsigned bits = wide ? 0 : 32;
        int64_t p = (int64_t)(x << bits) >> bits, q = (int64_t)(y << bits) >> bits;
        set(a, d, q == 0 ? 0 : q == -1 ? -(uint64_t)p : (uint64_t)(p / q), wide);
        return next(a);
    }
    case 8:
    case 9:
    case 10:
    case 11: set(a, d, shifted(x, op - 8, (unsigned)(y & 63), wide), wide); return next(a);
    default: return STEP_UNKNOWN;
    }
}

static step one_source(ahead *a, uint32_t code, bool wide) {
    const unsigned op = field(code, 10, 11), d = field(code, 0, 5);
    const uint64_t x = get(a, field(code, 5, 5), wide);
    uint64_t result = 0;
    switch (op) {
    case 2: /* rev, of words where the register is wide */
    case 3:
        if (op == 3 && !wide) return STEP_UNKNOWN;
        result = __builtin_bswap64(x);
        set(a, d, op == 3 ? result : wide ? rotate(result, 32, 64) : result >> 32, wide);
        return next(a);
    case 4: set(a, d, x == 0 ? (wide ? 64 : 32) : (uint64_t)__builtin_clzll(x) - (wide ? 0 : 32), wide); return next(a);
    default: return STEP_UNKNOWN;
    }
}

static step three_sources(ahead *a, uint32_t code, bool wide) {
    const unsigned kind = field(code, 21, 3), d = field(code, 0, 5);
    const bool subtract = field(code, 15, 1) != 0;
    uint64_t x = get(a, field(code, 5, 5), wide), y = get(a, field(code, 16, 5), wide),
             z = get(a, field(code, 10, 5), wide);
    if (kind == 1 || kind == 5) { /* smaddl, umaddl */
        x = kind == 1 ? (uint64_t)(int64_t)(int32_t)(uint32_t)x : (uint32_t)x;
        y = kind == 1 ? (uint64_t)(int64_t)(int32_t)(uint32_t)y : (uint32_t)y;
    } else if (kind != 0) {
        return STEP_UNKNOWN;
    }
    set(a, d, subtract ? z - x * y : z + x * y, wide);
    return next(a);
}

/* csel, csinc, csinv, csneg; ccmp, ccmn */
static step conditional(ahead *a, uint32_t code, bool wide) {
    const unsigned cond = field(code, 12, 4), d = field(code, 0, 5), m = field(code, 16, 5);
    const bool invert = field(code, 30, 1) != 0;
    const uint64_t x = get(a, field(code, 5, 5), wide);
    const bool holds = condition(a, cond);
    if (field(code, 21, 8) == 0xd2) {
        if (holds) {
            add(a, x, field(code, 11, 1) != 0 ? m : get(a, m, wide), invert, true, wide);
        } else {
            a->flags_known = true;
            a->sign = (code & 8) != 0;
            a->zero = (code & 4) != 0;
            a->carry = (code & 2) != 0;
            a->overflow = (code & 1) != 0;
        }
        return next(a);
    }
    uint64_t y = get(a, m, wide);
    if (field(code, 11, 1) != 0) return STEP_UNKNOWN;
    if (invert) y = ~y;
    if (field(code, 10, 1) != 0) y += 1;
    set(a, d, holds ? x : y, wide);
    return next(a);
}

static step logical(ahead *a, uint32_t code, bool wide) {
    const unsigned op = field(code, 29, 2), d = field(code, 0, 5);
    uint64_t x = get(a, field(code, 5, 5), wide);
    uint64_t y = shifted(get(a, field(code, 16, 5), wide), field(code, 22, 2), field(code, 10, 6), wide);
    if (field(code, 21, 1) != 0) y = ~y;
    x = op == 1 ? x | y : op == 2 ? x ^ y : x & y;
    if (op == 3) set_flags(a, x, false, false, wide);
    set(a, d, x, wide);
    return next(a);
}

/* add, sub, with a shifted or an extended register */
static step sum(ahead *a, uint32_t code, bool wide) {
    const unsigned d = field(code, 0, 5), n = field(code, 5, 5);
    const bool flags = field(code, 29, 1) != 0, subtract = field(code, 30, 1) != 0;
    const uint64_t m = get(a, field(code, 16, 5), true);
    if (field(code, 21, 1) == 0) {
        const uint64_t y = shifted(m, field(code, 22, 2), field(code, 10, 6), wide);
        set(a, d, add(a, get(a, n, wide), y, subtract, flags, wide), wide);
        return next(a);
    }
    const uint64_t value =
        add(a, get_or_sp(a, n, wide), extended(m, field(code, 13, 3), field(code, 10, 3)), subtract, flags, wide);
    if (!flags) {
        a->r[d] = value;
    } else {
        set(a, d, value, wide);
    }
    return next(a);
}

static step registers(ahead *a, uint32_t code) {
    const bool wide = code >> 31 != 0;
    switch (field(code, 24, 5)) {
    case 0x0a: return logical(a, code, wide);
    case 0x0b: return sum(a, code, wide);
    case 0x1b: return three_sources(a, code, wide);
    case 0x1a:
        if (field(code, 21, 3) == 2 || field(code, 21, 3) == 4) return conditional(a, code, wide);
        if (field(code, 21, 3) != 6) return STEP_UNKNOWN;
        return field(code, 30, 1) != 0 ? one_source(a, code, wide) : two_sources(a, code, wide);
    default: return STEP_UNKNOWN;
    }
}

/* Of floating-point numbers: what stays among them, or makes one. Comparisons leave flags that are not known. */
static step numbers(ahead *a, uint32_t code) {
    if (field(code, 24, 5) != 0x1e) return STEP_UNKNOWN;
    if (field(code, 21, 1) != 0 && field(code, 10, 6) == 0) { /* from and to other registers */
        const unsigned op = field(code, 16, 3);
        if (op != 2 && op != 3 && op != 7) return STEP_UNKNOWN;
    } else if (field(code, 21, 1) != 0 && (field(code, 10, 6) == 8 || field(code, 10, 2) == 1)) {
        a->flags_known = false;
    }
    return next(a);
}

step remote_ahead_step_arm64(ahead *a) {
    uint32_t code;
    if (!target_read(a->t, a->r[STILL_IP], &code, sizeof code)) return STEP_UNKNOWN;
    switch (field(code, 25, 4)) {
    case 8:
    case 9: return constant(a, code);
    case 10:
    case 11: return branch(a, code);
    case 4:
    case 6:
    case 12:
    case 14: return memory(a, code);
    case 5:
    case 13: return registers(a, code);
    case 7:
    case 15: return numbers(a, code);
    default: return STEP_UNKNOWN;
    }
}
