#include "proto.h"

#include <stdio.h>
#include <string.h>

enum {
    INS_MAX = 1 << 26, /* lj_def.h: LJ_MAX_BCINS */
    CONSTANTS_MAX = 65536,
    STRING_MAX = 0x7fffff00 /* lj_def.h: LJ_MAX_STR */
};

bool remote_read_proto(target *t, uint64_t address, remote_func *f) {
    f->is_lua = true;
    f->proto = address;
    f->header = address + VM_PT_SIZE;
    if (!target_read(t, f->proto, f->head, sizeof f->head) || f->head[VM_GC_TYPE] != VM_TYPE_PROTO) return false;
    f->n_ins = vm_u32(f->head, VM_PT_SIZEBC);
    f->constants = vm_u64(f->head, VM_PT_K);
    f->numparams = f->head[VM_PT_NUMPARAMS];
    f->framesize = f->head[VM_PT_FRAMESIZE];
    f->flags = f->head[VM_PT_FLAGS];
    f->firstline = vm_i32(f->head, VM_PT_FIRSTLINE);
    f->numline = vm_i32(f->head, VM_PT_NUMLINE);
    return f->n_ins >= 1 && f->n_ins <= INS_MAX;
}

bool remote_read_func(target *t, const remote_vm *vm, uint64_t address, remote_func *f) {
    unsigned char head[VM_FUNC_F + 8];
    vm_ins first;
    if (address == 0 || address % 8 != 0 || !target_read(t, address, head, VM_FUNC_F)) return false;
    if (head[VM_GC_TYPE] != VM_TYPE_FUNC) return false;
    *f = (remote_func){.address = address, .ffid = head[VM_FUNC_FFID], .header = vm_u64(head, VM_FUNC_PC)};
    if (f->header % 4 != 0 || !target_read(t, f->header, &first, sizeof first)) return false;
    unsigned op = VM_INS_OP(first), header = op - vm->n_ops;
    if (op < vm->n_ops) return false;
    if (header >= 6) { /* FUNCC and on, and the built-in functions in assembler */
        return target_u64(t, address + VM_FUNC_F, &f->c_address);
    }
    return remote_read_proto(t, f->header - VM_PT_SIZE, f);
}

/* ---- Lines ---- */

/* lj_debug.c: lj_debug_line. An entry for each instruction but the header, as wide as the function is long. */
int remote_line(target *t, const remote_func *f, uint32_t index) {
    uint64_t info = vm_u64(f->head, VM_PT_LINEINFO);
    uint8_t one;
    uint16_t two;
    uint32_t four;
    if (!f->is_lua || info == 0 || index >= f->n_ins) return 0;
    if (index == 0) return f->firstline;
    index--;
    if (f->numline < 256) return target_read(t, info + index, &one, sizeof one) ? f->firstline + one : 0;
    if (f->numline < 65536)
        return target_read(t, info + 2 * (uint64_t)index, &two, sizeof two) ? f->firstline + two : 0;
    return target_read(t, info + 4 * (uint64_t)index, &four, sizeof four) ? (int)((unsigned)f->firstline + four) : 0;
}

/* ---- Strings ---- */

bool remote_string(target *t, uint64_t address, char *out, size_t size, size_t *len) {
    unsigned char head[VM_STR_DATA];
    if (address == 0 || address % 8 != 0 || !target_read(t, address, head, sizeof head)) return false;
    if (head[VM_GC_TYPE] != VM_TYPE_STRING) return false;
    *len = vm_u32(head, VM_STR_LEN);
    if (*len > STRING_MAX) return false;
    size_t n = *len < size - 1 ? *len : size - 1;
    out[n] = '\0';
    return target_read(t, address + VM_STR_DATA, out, n);
}

bool remote_source(target *t, const remote_func *f, char *out, size_t size) {
    size_t len;
    out[0] = '\0';
    return f->is_lua && remote_string(t, vm_u64(f->head, VM_PT_CHUNKNAME), out, size, &len);
}

/* The code of built-in functions in Lua has no lines; its firstline is ~0. */
void remote_short_source(const char *source, int firstline, char *out) {
    size_t len = strlen(source);
    if (*source == '=') {
        snprintf(out, REMOTE_SHORT_MAX, "%s", source + 1);
    } else if (*source == '@') {
        if (len - 1 >= REMOTE_SHORT_MAX)
            snprintf(out, REMOTE_SHORT_MAX, "...%s", source + len - (REMOTE_SHORT_MAX - 4));
        else
            snprintf(out, REMOTE_SHORT_MAX, "%s", source + 1);
    } else {
        bool builtin = firstline == ~0;
        size_t n = 0;
        while (n < REMOTE_SHORT_MAX - 12 && (unsigned char)source[n] >= ' ') n++;
        bool cut = source[n] != '\0';
        if (cut && n > REMOTE_SHORT_MAX - 15) n = REMOTE_SHORT_MAX - 15;
        snprintf(out, REMOTE_SHORT_MAX, "%s%.*s%s%s", builtin ? "[builtin:" : "[string \"", (int)n, source,
                 cut ? "..." : "", builtin ? "]" : "\"]");
    }
}

/* A string of bytes that ends with a zero. */
static bool read_zero_string(target *t, uint64_t at, char *out, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!target_read(t, at + i, &out[i], 1)) return false;
        if (out[i] == '\0') return true;
    }
    out[size - 1] = '\0';
    return true;
}

/* ---- Local variables ---- */

/* lj_debug.c: debug_varname. Each entry: a name, or the number of an internal one; then in 7-bit pieces where it becomes
 * active, counted from where the one before did, and how long it is. */
static bool read_number(target *t, uint64_t *at, uint64_t end, uint32_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 35 && *at < end; shift += 7) {
        uint8_t byte;
        if (!target_read(t, (*at)++, &byte, 1)) return false;
        *value |= (uint32_t)((uint64_t)(byte & 0x7f) << shift);
        if (byte < 0x80) return true;
    }
    return false;
}

bool remote_local_name(target *t, const remote_func *f, uint32_t index, uint32_t slot, char *name) {
    /* lj_lex.h, VARNAMEDEF: names of one byte are those of for loops. */
    static const char *const internal[] = {"(for index)",     "(for limit)", "(for step)",
                                           "(for generator)", "(for state)", "(for control)"};
    enum { INTERNAL = 7 };
    uint64_t at = vm_u64(f->head, VM_PT_VARINFO), end = f->proto + vm_u32(f->head, VM_PT_SIZEPT);
    uint32_t start = 0, delta, length;
    if (!f->is_lua || at <= f->proto || at >= end) return false;
    while (at < end) {
        uint64_t name_at = at;
        uint8_t first;
        if (!target_read(t, at, &first, 1) || first == 0) return false;
        if (first >= INTERNAL) {
            uint8_t byte;
            do {
                if (++at >= end || !target_read(t, at, &byte, 1)) return false;
            } while (byte != 0);
        }
        at++;
        if (!read_number(t, &at, end, &delta) || !read_number(t, &at, end, &length)) return false;
        start += delta;
        if (start > index) return false;
        if (index >= start + length || slot-- != 0) continue;
        if (first >= INTERNAL) return read_zero_string(t, name_at, name, REMOTE_NAME_MAX);
        snprintf(name, REMOTE_NAME_MAX, "%s", internal[first - 1]);
        return true;
    }
    return false;
}

/* ---- Names of functions, from the code that calls them ---- */

static bool instruction(target *t, const remote_func *f, uint32_t index, vm_ins *ins) {
    return index < f->n_ins && target_read(t, f->header + 4 * (uint64_t)index, ins, sizeof *ins);
}

/* lj_obj.h: proto_kgc: collectable constants stand before the others, the first nearest. */
static bool constant_string(target *t, const remote_func *f, uint32_t n, char *name) {
    uint64_t address;
    size_t len;
    if (n >= CONSTANTS_MAX || n >= vm_u32(f->head, VM_PT_SIZEKGC)) return false;
    return target_u64(t, f->constants - 8 * ((uint64_t)n + 1), &address) &&
           remote_string(t, address, name, REMOTE_NAME_MAX, &len);
}

bool remote_upvalue_name(target *t, const remote_func *f, uint32_t n, char *name) {
    uint64_t at = vm_u64(f->head, VM_PT_UVINFO), end = f->proto + vm_u32(f->head, VM_PT_SIZEPT);
    if (!f->is_lua || at <= f->proto || n >= vm_u8(f->head, VM_PT_SIZEUV)) return false;
    for (; n > 0; n--) {
        uint8_t byte;
        do {
            if (at >= end || !target_read(t, at++, &byte, 1)) return false;
        } while (byte != 0);
    }
    return at < end && read_zero_string(t, at, name, REMOTE_NAME_MAX);
}

/* Instructions whose operand A is the first of many slots they write (lj_bc.h: mode "base"). */
static bool writes_from_a(vm_op op) {
    return op == VM_KNIL || op == VM_TSETM || (op >= VM_CALLM && op <= VM_RETM) || (op >= VM_FORI && op <= VM_JITERL);
}

/* Instructions that write operand A (mode "dst"). */
static bool writes_a(vm_op op) {
    return op == VM_ISTC || op == VM_ISFC || (op >= VM_MOV && op <= VM_KPRI) || op == VM_UGET ||
           (op >= VM_FNEW && op <= VM_GGET) || (op >= VM_TGETV && op <= VM_TGETR) || (op >= VM_BNOT && op <= VM_BSAR);
}

/* lj_debug.c: lj_debug_slotname. Backwards from `index` to what loaded the slot. */
static const char *slot_name(target *t, const remote_vm *vm, const remote_func *f, uint32_t index, uint32_t slot,
                             char *name) {
    vm_ins ins, before;
    if (remote_local_name(t, f, index, slot, name)) return "local";
    for (unsigned steps = 0; index > 1 && steps < 100000; steps++) {
        if (!instruction(t, f, --index, &ins)) return NULL;
        vm_op op = remote_op(vm, ins);
        uint32_t a = VM_INS_A(ins);
        if (writes_from_a(op)) {
            if (slot >= a && (op != VM_KNIL || slot <= VM_INS_D(ins))) return NULL;
        } else if (writes_a(op) && a == slot) {
            switch (op) {
            case VM_MOV:
                slot = VM_INS_D(ins);
                if (remote_local_name(t, f, index, slot, name)) return "local";
                break;
            case VM_GGET: return constant_string(t, f, VM_INS_D(ins), name) ? "global" : NULL;
            case VM_TGETS:
                if (!constant_string(t, f, VM_INS_C(ins), name)) return NULL;
                /* With the object copied to where the first argument goes just before, it is a method. */
                return instruction(t, f, index - 1, &before) && remote_op(vm, before) == VM_MOV &&
                               VM_INS_A(before) == a + 2 && VM_INS_D(before) == VM_INS_B(ins)
                           ? "method"
                           : "field";
            case VM_UGET: return remote_upvalue_name(t, f, VM_INS_D(ins), name) ? "upvalue" : NULL;
            default: return NULL;
            }
        }
    }
    return NULL;
}

/* The metamethod that an instruction may call. */
static const char *metamethod(vm_op op) {
    static const char *const arith[] = {"__add", "__sub", "__mul", "__div", "__mod"};
    if (op == VM_ISLT || op == VM_ISGE) return "__lt";
    if (op == VM_ISLE || op == VM_ISGT) return "__le";
    if (op >= VM_ISEQV && op <= VM_ISNEP) return "__eq";
    if (op == VM_UNM) return "__unm";
    if (op == VM_LEN) return "__len";
    if (op >= VM_ADDVN && op <= VM_MODVV) return arith[(op - VM_ADDVN) % 5];
    if (op == VM_POW) return "__pow";
    if (op == VM_CAT) return "__concat";
    if (op == VM_GGET || (op >= VM_TGETV && op <= VM_TGETR)) return "__index";
    if (op == VM_GSET || (op >= VM_TSETV && op <= VM_TSETR)) return "__newindex";
    if (op == VM_FNEW || op == VM_TNEW || op == VM_TDUP) return "__gc";
    return NULL;
}

/* lj_debug.c: lj_debug_funcname. */
void remote_call_name(target *t, const remote_vm *vm, const remote_func *caller, uint32_t index, char *name,
                      const char **what) {
    vm_ins ins;
    name[0] = '\0';
    *what = "";
    if (!instruction(t, caller, index, &ins)) return;
    vm_op op = remote_op(vm, ins);
    if (op >= VM_CALLM && op <= VM_ITERN) {
        uint32_t slot = VM_INS_A(ins);
        const char *kind = slot_name(t, vm, caller, index, op == VM_ITERC ? slot - 3 : slot, name);
        *what = kind != NULL ? kind : "";
        if (kind == NULL) name[0] = '\0';
        return;
    }
    const char *event = metamethod(op);
    if (event == NULL) return;
    snprintf(name, REMOTE_NAME_MAX, "%s", event);
    *what = "metamethod";
}
