/*
 * One C function up, on arm64. A call leaves its return address in a register there, and where the function called has put
 * it is known from what its file says for exceptions alone: the sections .eh_frame_hdr, which finds a function, and .eh_frame,
 * which has a little program for each (DWARF, call frame information; Linux Standard Base, "Exception Frames"). Of these
 * programs as much is understood as C compilers write for arm64: frames that are found from a register, and registers that
 * are saved in them.
 */
#include <elf.h>
#include <string.h>

#include "cpu.h"

enum { REGS = 32, FP = 29, LR = 30, SP = 31, PROGRAM_MAX = 2048, SAVED_STATES = 8 };

/* ---- Bytes ---- */

typedef struct bytes {
    const unsigned char *at, *end;
    bool failed;
} bytes;

static uint64_t take(bytes *b, unsigned n) {
    uint64_t value = 0;
    if ((size_t)(b->end - b->at) < n) {
        b->failed = true;
        return 0;
    }
    memcpy(&value, b->at, n);
    b->at += n;
    return value;
}

/* It fails where the number has more than 64 bits. */
static uint64_t take_unsigned(bytes *b) {
    uint64_t value = 0, byte = 0x80;
    for (unsigned shift = 0; (byte & 0x80) != 0 && !b->failed; shift += 7) {
        byte = take(b, 1);
        const uint64_t bits = byte & 0x7f;
        if (shift < 64) value |= bits << shift;
        if (shift < 64 ? bits << shift >> shift != bits : bits != 0) b->failed = true;
    }
    return value;
}

static int64_t take_signed(bytes *b) {
    uint64_t value = 0, byte = 0x80;
    unsigned shift = 0;
    for (; (byte & 0x80) != 0 && !b->failed; shift += 7) {
        byte = take(b, 1);
        if (shift < 64) value |= (byte & 0x7f) << shift;
    }
    if (shift < 64 && (byte & 0x40) != 0) value |= ~UINT64_C(0) << shift;
    return (int64_t)value;
}

static const char *take_text(bytes *b) {
    const char *text = (const char *)b->at;
    const unsigned char *zero = memchr(b->at, 0, (size_t)(b->end - b->at));
    if (zero == NULL) b->failed = true;
    b->at = zero != NULL ? zero + 1 : b->end;
    return zero != NULL ? text : "";
}

/* ---- Finding a function ---- */

/* The address of .eh_frame_hdr of the file that `ip` is from. Core files do not name their mappings' files: the file begins
 * with the nearest mapping below that looks like one. 0: there is none. */
static uint64_t find_header(target *t, uint64_t ip) {
    enum { BACK = 8, SEGMENTS = 32 };
    size_t n;
    const target_map *maps = target_maps(t, &n), *m = target_map_at(t, ip);
    for (int i = 0; m != NULL && i<BACK; i++, m = m> maps ? m - 1 : NULL) {
        Elf64_Ehdr head;
        Elf64_Phdr segment;
        uint64_t first = UINT64_MAX, hdr = 0;
        if (!target_read(t, m->start, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) continue;
        if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof segment || head.e_phnum > SEGMENTS)
            return 0;
        for (unsigned k = 0; k < head.e_phnum; k++) {
            if (!target_read(t, m->start + head.e_phoff + k * sizeof segment, &segment, sizeof segment)) return 0;
            if (segment.p_type == PT_LOAD && first == UINT64_MAX) first = segment.p_vaddr & ~UINT64_C(0xfff);
            if (segment.p_type == PT_GNU_EH_FRAME) hdr = segment.p_vaddr;
        }
        return hdr != 0 && first != UINT64_MAX ? m->start + (hdr - first) : 0;
    }
    return 0;
}

/* The entry of the function at `ip` in .eh_frame. The header's table has, sorted, where functions begin and where their
 * entries lie, both from the header on. */
static uint64_t find_entry(target *t, uint64_t hdr, uint64_t ip) {
    enum { HEAD = 12, VERSION = 1, PC_RELATIVE_4 = 0x1b, COUNT_4 = 0x03, FROM_HEADER_4 = 0x3b, ENTRY = 8 };
    unsigned char head[HEAD];
    int32_t pair[2];
    if (!target_read(t, hdr, head, sizeof head)) return 0;
    if (head[0] != VERSION || head[1] != PC_RELATIVE_4 || head[2] != COUNT_4 || head[3] != FROM_HEADER_4) return 0;
    uint64_t low = 0, high = vm_u32(head, 8);
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (!target_read(t, hdr + HEAD + ENTRY * middle, pair, sizeof pair)) return 0;
        if (hdr + (uint64_t)(int64_t)pair[0] <= ip) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || !target_read(t, hdr + HEAD + ENTRY * (low - 1), pair, sizeof pair)) return 0;
    return hdr + (uint64_t)(int64_t)pair[1];
}

/* ---- What an entry says ---- */

typedef struct row {
    uint64_t cfa_reg;
    int64_t cfa_offset;
    bool saved[REGS];
    int64_t at[REGS]; /* from the frame's upper end, where the register is saved */
    bool no_return;   /* nothing has called it */
} row;

typedef struct program {
    uint64_t begin, size; /* of the function */
    uint64_t code_unit;
    int64_t data_unit;
    row now, initial, kept[SAVED_STATES];
    unsigned n_kept;
    uint64_t place;
} program;

static bool set_register(row *r, uint64_t number, bool saved, int64_t at) {
    if (number >= REGS) return true; /* d8 and above: nobody asks */
    r->saved[number] = saved;
    r->at[number] = at;
    return true;
}

/* So many units of data; they fail where they are more than any file can mean. */
static int64_t in_units(const program *p, int64_t n, bytes *b) {
    int64_t size = 0;
    if (__builtin_mul_overflow(n, p->data_unit, &size)) b->failed = true;
    return size;
}

static int64_t take_units(const program *p, bytes *b) {
    const uint64_t n = take_unsigned(b);
    if (n > INT64_MAX) b->failed = true;
    return in_units(p, (int64_t)n, b);
}

static int64_t take_signed_units(const program *p, bytes *b) {
    return in_units(p, take_signed(b), b);
}

/* One instruction. False where it is not understood. */
static bool step(program *p, bytes *b) {
    enum { NOP, SET_LOC, ADVANCE1, ADVANCE2, ADVANCE4, OFFSET_EXT, RESTORE_EXT, UNDEFINED, SAME, REGISTER };
    enum { REMEMBER = 0x0a, RESTORE_STATE, DEF_CFA, DEF_CFA_REG, DEF_CFA_OFFSET, OFFSET_SIGNED = 0x11, DEF_CFA_SIGNED };
    enum { DEF_CFA_OFFSET_SIGNED = 0x13, SIGNS = 0x2d, ARGS_SIZE = 0x2e, ADVANCE = 1, OFFSET, RESTORE };
    uint64_t code = take(b, 1), low = code & 0x3f, number;
    row *r = &p->now;
    switch (code >> 6) {
    case ADVANCE: p->place += low * p->code_unit; return true;
    case OFFSET: return set_register(r, low, true, take_units(p, b));
    case RESTORE: return low >= REGS || set_register(r, low, p->initial.saved[low], p->initial.at[low]);
    default: break;
    }
    switch (low) {
    case NOP: return true;
    case ADVANCE1: p->place += take(b, 1) * p->code_unit; return true;
    case ADVANCE2: p->place += take(b, 2) * p->code_unit; return true;
    case ADVANCE4: p->place += take(b, 4) * p->code_unit; return true;
    case OFFSET_EXT: number = take_unsigned(b); return set_register(r, number, true, take_units(p, b));
    case OFFSET_SIGNED: number = take_unsigned(b); return set_register(r, number, true, take_signed_units(p, b));
    case RESTORE_EXT:
        number = take_unsigned(b);
        return number >= REGS || set_register(r, number, p->initial.saved[number], p->initial.at[number]);
    case SAME: return set_register(r, take_unsigned(b), false, 0);
    case UNDEFINED:
        number = take_unsigned(b);
        r->no_return = r->no_return || number == LR;
        return true;
    case REMEMBER:
        if (p->n_kept == SAVED_STATES) return false;
        p->kept[p->n_kept++] = *r;
        return true;
    case RESTORE_STATE:
        if (p->n_kept == 0) return false;
        *r = p->kept[--p->n_kept];
        return true;
    case DEF_CFA:
        r->cfa_reg = take_unsigned(b);
        r->cfa_offset = (int64_t)take_unsigned(b);
        return true;
    case DEF_CFA_SIGNED:
        r->cfa_reg = take_unsigned(b);
        r->cfa_offset = take_signed_units(p, b);
        return true;
    case DEF_CFA_REG: r->cfa_reg = take_unsigned(b); return true;
    case DEF_CFA_OFFSET: r->cfa_offset = (int64_t)take_unsigned(b); return true;
    case DEF_CFA_OFFSET_SIGNED: r->cfa_offset = take_signed_units(p, b); return true;
    case ARGS_SIZE: take_unsigned(b); return true;
    case SIGNS: return true; /* whether the return address is signed: signatures are cut off in any case */
    default: return false;
    }
}

/* Run the program as far as it is about `ip`. */
static bool run(program *p, bytes *b, uint64_t ip) {
    while (b->at < b->end && !b->failed) {
        const row before = p->now;
        if (!step(p, b)) return false;
        if (p->place > ip) {
            p->now = before;
            return !b->failed;
        }
    }
    return !b->failed;
}

static unsigned pointer_size(unsigned encoding) {
    enum { TWO = 2, FOUR = 3 };
    const unsigned form = encoding & 7;
    return form == TWO ? 2 : form == FOUR ? 4 : 8;
}

/* The part that functions have in common. */
static bool read_common(target *t, uint64_t at, program *p, char *pointers) {
    unsigned char text[PROGRAM_MAX], length[4];
    if (!target_read(t, at, length, sizeof length)) return false;
    uint64_t size = vm_u32(length, 0);
    if (size < 8 || size > sizeof text || !target_read(t, at + sizeof length, text, size)) return false;
    bytes b = {.at = text, .end = text + size};
    if (take(&b, 4) != 0) return false;
    uint64_t version = take(&b, 1);
    const char *letters = take_text(&b);
    p->code_unit = take_unsigned(&b);
    p->data_unit = take_signed(&b);
    if (version != 1 && version != 3) return false;
    uint64_t lr = version == 1 ? take(&b, 1) : take_unsigned(&b);
    *pointers = 0;
    if (letters[0] != 'z' || lr != LR) return false;
    uint64_t more = take_unsigned(&b);
    if (b.failed || more > (size_t)(b.end - b.at)) return false;
    const unsigned char *program_at = b.at + more;
    for (letters++; *letters != '\0'; letters++) {
        if (*letters == 'R') {
            *pointers = (char)take(&b, 1);
        } else if (*letters == 'L') {
            take(&b, 1);
        } else if (*letters == 'P') {
            take(&b, pointer_size((unsigned)take(&b, 1)));
        } else if (*letters != 'B') { /* return addresses are signed with another key; 'S' would be a signal's frame */
            return false;
        }
    }
    b.at = program_at;
    if (!run(p, &b, UINT64_MAX)) return false;
    p->initial = p->now;
    return true;
}

static bool read_entry(target *t, uint64_t at, uint64_t ip, program *p) {
    enum { PC_RELATIVE_4 = 0x1b, POINTERS = 8 };
    unsigned char text[PROGRAM_MAX], length[4];
    char pointers;
    *p = (program){.now = {.cfa_reg = SP}};
    if (at == 0 || !target_read(t, at, length, sizeof length)) return false;
    uint64_t size = vm_u32(length, 0);
    if (size < 4 + POINTERS || size > sizeof text || !target_read(t, at + sizeof length, text, size)) return false;
    bytes b = {.at = text, .end = text + size};
    uint64_t back = take(&b, 4), place = at + sizeof length + 4;
    if (back == 0 || !read_common(t, at + sizeof length - back, p, &pointers) || pointers != PC_RELATIVE_4)
        return false;
    p->begin = place + (uint64_t)(int64_t)(int32_t)take(&b, 4);
    p->size = take(&b, 4);
    uint64_t more = take_unsigned(&b);
    if (b.failed || more > (size_t)(b.end - b.at) || ip - p->begin >= p->size) return false;
    b.at += more;
    p->place = p->begin;
    return run(p, &b, ip);
}

/* ---- A step ---- */

/* Where a function returns to. Signed addresses (pointer authentication) have their signature in the bits that no address of the
 * program has: how many these are is the kernel's choice, and told by the highest mapping, which is a stack. What lies above
 * all programs is not arm64's, but of the machine that emulates it. */
static uint64_t unsign(const target *t, uint64_t address) {
    enum { BITS_MAX = 52 };
    size_t n;
    const target_map *maps = target_maps(t, &n);
    while (n > 0 && maps[n - 1].end > UINT64_C(1) << BITS_MAX) n--;
    return n == 0 ? address : address & UINT64_MAX >> __builtin_clzll((maps[n - 1].end - 1) | 1);
}

bool remote_unwind_arm64(target *t, target_regs *regs, bool called) {
    program p;
    uint64_t word;
    target_regs r = *regs;
    const uint64_t ip = r.ip - called, hdr = find_header(t, ip);
    if (hdr == 0 || !read_entry(t, find_entry(t, hdr, ip), ip, &p) || p.now.no_return) return false;
    if (p.now.cfa_reg != SP && p.now.cfa_reg != FP) return false;
    const uint64_t cfa = (p.now.cfa_reg == SP ? r.sp : r.fp) + (uint64_t)p.now.cfa_offset;
    if (cfa < r.sp || cfa % 16 != 0) return false;
    const struct {
        unsigned number;
        uint64_t *value;
    } kept[] = {{19, &r.base}, {20, &r.kbase}, {21, &r.pc}, {22, &r.vm}, {FP, &r.fp}, {LR, &r.lr}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (!p.now.saved[kept[i].number]) continue;
        if (!target_u64(t, cfa + (uint64_t)p.now.at[kept[i].number], &word)) return false;
        *kept[i].value = word;
    }
    word = unsign(t, r.lr);
    if (word == 0 || (word == r.ip && cfa == r.sp)) return false;
    r.ip = word;
    r.sp = cfa;
    if (!p.now.saved[LR]) r.lr = 0; /* it was used up */
    *regs = r;
    return true;
}
