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

#include "vm.h"

static const char *constants(const vm_trace *t, const char **end) {
    const char *ir = (const char *)((uintptr_t)vm_ptr(t, VM_TR_IR) + VM_IR_SIZE * (uintptr_t)vm_u32(t, VM_TR_NK));
    *end = (const char *)vm_ptr(t, VM_TR_SNAPMAP) + 4 * (size_t)vm_u32(t, VM_TR_NSNAPMAP);
    return ir;
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

bool vm_trace_mentions(const vm_layout *lay, const vm_trace *t, vm_proto *const *protos, size_t n) {
    const char *end, *p = constants(t, &end);
    const char *snap = vm_ptr(t, VM_TR_SNAP);
    if (is_in((uintptr_t)vm_ptr(t, VM_TR_STARTPT), protos, n)) return true;
    /* The map holds instruction addresses shifted by 8 bits, in two halves (lj_snap.c: snapshot_framelinks). */
    for (; p + 8 <= end; p += p < snap ? 8 : 4) {
        uintptr_t word;
        memcpy(&word, p, sizeof(word));
        if (is_in(word, protos, n) || is_in(word >> 8, protos, n)) return true;
        if (p + 16 > snap || (uint8_t)p[VM_IR_OP] != lay->ir_kgc) continue;
        char func[VM_FUNC_F];
        memcpy(&word, p + 8, sizeof(word));
        /* It may be the half of a number that looks like an object. */
        if (word % 8 == 0 && word >> 47 == 0 && vm_read((const void *)word, func, sizeof(func)) &&
            vm_u8(func, VM_GC_TYPE) == VM_TYPE_FUNC && is_in((uintptr_t)vm_ptr(func, VM_FUNC_PC), protos, n)) {
            return true;
        }
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

    /* One block: header, IR from the lowest constant up, snapshots of 12 bytes, their map (lj_trace.c: trace_save). */
    const char *end, *ir = constants(t, &end), *snap = vm_ptr(t, VM_TR_SNAP), *map = vm_ptr(t, VM_TR_SNAPMAP);
    uint32_t nk = vm_u32(t, VM_TR_NK), nins = vm_u32(t, VM_TR_NINS);
    if (ir < (const char *)t + VM_TR_ROOT || ir > (const char *)t + 192 || nk >= nins || nins > 0x10000) return false;
    if (snap != ir + (size_t)VM_IR_SIZE * (nins - nk) || map != snap + 12 * (size_t)vm_u16(t, VM_TR_NSNAP))
        return false;

    /* The closure that is called must be there; what stands before it is the opcode of constant objects. */
    for (const char *p = ir; p + 16 <= snap; p += 8) {
        if (vm_ptr(p, 8) == lua_topointer(S, 1)) lay->ir_kgc = (uint8_t)p[VM_IR_OP];
    }
    return lay->ir_kgc != 0 && vm_trace_mentions(lay, t, &pt, 1) && vm_trace_mentions(lay, t, &inner, 1) &&
           !vm_trace_mentions(lay, t, &other, 1);
}

void vm_learn_traces(lua_State *S, vm_layout *lay) {
    struct only_trace only = {NULL, 0};
    vm v = {.lay = lay, .g = vm_ptr(S, VM_L_GLREF)};
    if (luaL_loadstring(S, "local x = ... return x + 1") != 0 || luaL_loadstring(S, "return 2") != 0) return;
    if (luaL_loadstring(S, "return function(f) local s = 0 for i = 1, 300 do s = f(s) end return s end") != 0) return;
    lua_call(S, 0, 1);
    lua_remove(S, 1);
    if (luaL_loadstring(S, "return function(x) return x + 1 end") != 0) return;
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
