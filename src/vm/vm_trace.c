/*
 * Compiled code: which traces hold code of a function.
 *
 * A trace names every function it holds code of (lj_record.c): the function it starts in (startpt); each function it
 * calls, as a constant closure, or for a polymorphic call the address of its bytecode (rec_call_specialize); each one
 * it returns to, as a constant prototype (lj_record_ret). Snapshots name the instruction at which the interpreter would
 * go on.
 */
#include <lauxlib.h>
#include <luajit.h>

#include "vm_learn.h"

/* lj_ir.h: the order of the constants' opcodes; IR is numbered from REF_BIAS up, constants downwards, the last three
 * are true, false and nil. An instruction has 8 bytes, its opcode is byte 5; a wide constant lies in the 8 bytes
 * after it. Snapshots have 12 bytes. */
enum { IR_SIZE = 8, IR_OP = 5, REF_TRUE = 0x8000 - 3, SNAP_SIZE = 12 };
enum ir_constant { KPRI, KINT, KGC, KPTR, KKPTR, KNULL, KNUM, KINT64, KSLOT };

static const char *ir_at(const vm_trace *t, uint32_t ref) {
    return (const char *)((uintptr_t)vm_ptr(t, VM_TR_IR) + IR_SIZE * (uintptr_t)ref);
}

/* True if the address is that of a prototype, or of an instruction of it. */
static bool is_in(uintptr_t address, vm_proto *const *protos, size_t n) {
    size_t low = 0, high = n; /* the last one that begins at or before the address is below `low` */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)protos[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) return false;
    const vm_proto *pt = protos[low - 1];
    uintptr_t code = (uintptr_t)vm_proto_code(pt);
    return address == (uintptr_t)pt || (address >= code && address < code + 4 * (uintptr_t)vm_proto_size(pt));
}

typedef struct constant {
    enum ir_constant kind;
    uintptr_t value; /* of the wide ones */
} constant;

/* The constant at `*p`, and on to the next. False if it is none we know. */
static bool next_constant(const vm_layout *lay, const char **p, constant *c) {
    int kind = (uint8_t)(*p)[IR_OP] - lay->ir_kgc + KGC;
    if (kind < KPRI || kind > KSLOT) return false;
    bool wide = kind == KGC || kind == KPTR || kind == KKPTR || kind == KNUM || kind == KINT64;
    c->kind = (enum ir_constant)kind;
    c->value = 0;
    if (wide) memcpy(&c->value, *p + IR_SIZE, sizeof(c->value));
    *p += wide ? 2 * IR_SIZE : IR_SIZE;
    return true;
}

/* Constant objects live as long as the trace (lj_gc.c: gc_traverse_trace). */
static bool names(const constant *c, vm_proto *const *protos, size_t n) {
    if (is_in(c->value, protos, n)) return true;
    if (c->kind != KGC || vm_u8((const void *)c->value, VM_GC_TYPE) != VM_TYPE_FUNC) return false;
    return is_in((uintptr_t)vm_ptr((const void *)c->value, VM_FUNC_PC), protos, n);
}

bool vm_trace_mentions(const vm_layout *lay, const vm_trace *t, vm_proto *const *protos, size_t n) {
    if (is_in((uintptr_t)vm_ptr(t, VM_TR_STARTPT), protos, n)) return true;
    const char *p = ir_at(t, vm_u32(t, VM_TR_NK)), *end = ir_at(t, REF_TRUE);
    while (p < end) {
        constant c;
        if (!next_constant(lay, &p, &c) || names(&c, protos, n)) return true;
    }
    if (p != end) return true; /* not understood */
    /* The map holds instruction addresses shifted by 8 bits, in two halves (lj_snap.c: snapshot_framelinks). */
    const char *map = vm_ptr(t, VM_TR_SNAPMAP), *map_end = map + 4 * (size_t)vm_u32(t, VM_TR_NSNAPMAP);
    for (; map + 8 <= map_end; map += 4) {
        uintptr_t word;
        memcpy(&word, map, sizeof(word));
        if (is_in(word >> 8, protos, n)) return true;
    }
    return false;
}

enum { LINK_LOOP = 2, LINK_INTERPRETER = 6, LINK_STITCH = 8 }; /* lj_jit.h: LJ_TRLINK_* */

/* A side exit after too many tries (lj_record.c: lj_record_setup), or a call after which nothing could be compiled,
 * which links the trace to itself (lj_trace.c: trace_abort). */
bool vm_trace_gave_up(const vm_trace *t) {
    uint8_t type = vm_u8(t, VM_TR_LINKTYPE);
    return type == LINK_INTERPRETER || (type == LINK_STITCH && vm_trace_link(t) == vm_trace_number(t));
}

bool vm_trace_is_stitched(const vm_layout *lay, const vm_trace *t) {
    uint8_t op = lay->name[vm_u8(t, VM_TR_STARTINS)];
    return op == VM_CALL || op == VM_CALLM || op == VM_ITERC; /* lj_trace.c: trace_stop */
}

struct only_trace {
    vm_trace *t;
    int n;
};

static bool note_trace(void *object, void *arg) {
    struct only_trace *o = arg;
    o->t = object;
    o->n++;
    return true;
}

/* The trace of the loop in the function on the top of the stack, which calls the function at index 1. */
static bool check_trace(lua_State *S, vm_layout *lay, const vm_trace *t) {
    vm_proto *pt = vm_func_proto(lay, lua_topointer(S, -1));
    vm_proto *inner = vm_func_proto(lay, lua_topointer(S, 1)), *other = vm_func_proto(lay, lua_topointer(S, 2));
    const vm_ins *code = vm_proto_code(pt);
    uint32_t i = 1;
    while (i < vm_proto_size(pt) && lay->name[VM_INS_OP(code[i])] != VM_JFORL) i++;
    if (i == vm_proto_size(pt) || VM_INS_D(code[i]) != vm_trace_number(t)) return false;
    if (vm_ptr(t, VM_TR_STARTPT) != pt || vm_ptr(t, VM_TR_STARTPC) != &code[i]) return false;
    if (vm_u8(t, VM_TR_STARTINS) != lay->number[VM_FORL]) return false;
    if (vm_trace_link(t) != vm_trace_number(t) || vm_trace_root(t) != 0) return false;
    if (vm_u8(t, VM_TR_LINKTYPE) != LINK_LOOP) return false;

    /* One block: header, IR from the lowest constant up, snapshots, their map (lj_trace.c: trace_save). */
    uint32_t nk = vm_u32(t, VM_TR_NK), nins = vm_u32(t, VM_TR_NINS);
    const char *ir = ir_at(t, nk), *snap = vm_ptr(t, VM_TR_SNAP), *map = vm_ptr(t, VM_TR_SNAPMAP);
    if (ir < (const char *)t + VM_TR_ROOT || ir > (const char *)t + 192) return false;
    if (nk >= REF_TRUE || nins <= REF_TRUE || nins > 0x10000) return false;
    if (snap != ir_at(t, nins) || map != snap + SNAP_SIZE * (size_t)vm_u16(t, VM_TR_NSNAP)) return false;

    /* The closure that is called must be there; what stands before it is the opcode of constant objects. Then so must
     * the number it adds, each constant be of a kind we know, and the last be followed by `true`. */
    const char *end = ir_at(t, REF_TRUE);
    for (const char *p = ir; p + IR_SIZE < end; p += IR_SIZE) {
        if (vm_ptr(p, IR_SIZE) == lua_topointer(S, 1)) lay->ir_kgc = (uint8_t)p[IR_OP];
    }
    if (lay->ir_kgc < KGC || (uint8_t)end[IR_OP] != lay->ir_kgc - KGC + KPRI) return false;
    bool adds = false;
    while (ir < end) {
        constant c;
        lua_Number number;
        if (!next_constant(lay, &ir, &c)) return false;
        memcpy(&number, &c.value, sizeof(number));
        adds = adds || (c.kind == KNUM && number == 0.5);
    }
    return adds && ir == end && vm_trace_mentions(lay, t, &pt, 1) && vm_trace_mentions(lay, t, &inner, 1) &&
           !vm_trace_mentions(lay, t, &other, 1);
}

void vm_learn_traces(lua_State *S, vm_layout *lay) {
    struct only_trace only = {NULL, 0};
    vm v = {.lay = lay, .g = vm_ptr(S, VM_L_GLREF)};
    if (luaL_loadstring(S, "local x = ... return x + 1") != 0 || luaL_loadstring(S, "return 2") != 0) return;
    if (luaL_loadstring(S, "return function(f) local s = 0 for i = 1, 300 do s = f(s) end return s end") != 0) return;
    lua_call(S, 0, 1);
    lua_remove(S, 1);
    if (luaL_loadstring(S, "return function(x) return x + 0.5 end") != 0) return;
    lua_call(S, 0, 1);
    lua_insert(S, 1);
    lua_pushvalue(S, -1);
    lua_pushvalue(S, 1);
    lua_call(S, 1, 0);
    vm_walk(&v, vm_gc_white(S), VM_TYPE_TRACE, NULL, note_trace, &only);
    lua_pop(S, 1);
    lay->has_traces = only.n == 1 && check_trace(S, lay, only.t);
    lua_settop(S, 0);
}
