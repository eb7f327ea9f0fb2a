/*
 * lj_jit.h: GCtrace, SnapShot; lj_snap.c: snapshot_slots, snapshot_framelinks. A snapshot says what the interpreter would
 * find on its stack if it went on at the snapshot's PC: for each slot that compiled code changed a reference to the
 * instruction that has the value. Of these, frames' functions and links are constants as a rule.
 */
#include "traces.h"

#include <string.h>

#include "cpu.h"

enum {
    REF_BIAS = 0x8000, /* references below are to constants; the constant's value lies behind its instruction */
    IR_BYTES = 8,
    SNAP_BYTES = 12,
    SNAP_MAPOFS = 0,
    SNAP_MCOFS = 6,
    SNAP_NENT = 10,
    SNAP_FRAME = 0x10000,
    SNAP_CONT = 0x20000,
    TR_SPADJUST = 102, /* GCtrace.spadjust */
    TAIL = 16,         /* bytes: what a trace ends with, once it has left its base for that of the trace it links to */
    MAX_TRACES = 65536
};

/* ---- The list of traces ---- */

static bool trace_at(target *t, uint64_t address, unsigned number, remote_trace *trace) {
    if (address == 0 || address % 8 != 0 || !target_read(t, address, trace->head, sizeof trace->head)) return false;
    const unsigned char *h = trace->head;
    if (h[VM_GC_TYPE] != VM_TYPE_TRACE || vm_u16(h, VM_TR_TRACENO) != number) return false;
    trace->number = number;
    trace->address = address;
    trace->code = vm_u64(h, VM_TR_MCODE);
    trace->code_size = vm_u32(h, VM_TR_SZMCODE);
    trace->stack_adjust = vm_u16(h, TR_SPADJUST);
    trace->start_proto = vm_u64(h, VM_TR_STARTPT);
    trace->start_pc = vm_u64(h, VM_TR_STARTPC);
    trace->link = vm_u16(h, VM_TR_LINK);
    trace->root = vm_u16(h, VM_TR_ROOT);
    trace->linktype = h[VM_TR_LINKTYPE];
    return true;
}

static bool in_list(target *t, uint64_t list_at, unsigned number, remote_trace *trace) {
    uint64_t list, address;
    return target_u64(t, list_at, &list) && list != 0 && list % 8 == 0 &&
           target_u64(t, list + 8 * (uint64_t)number, &address) && trace_at(t, address, number, trace);
}

/* jit_State: the list's address, then the first free number and the length, as 32 bits each. It lies somewhere between
 * global_State and the dispatch table. */
static bool is_list(target *t, uint64_t at, uint32_t *size) {
    unsigned char sizes[8];
    if (!target_read(t, at + 8, sizes, sizeof sizes)) return false;
    *size = vm_u32(sizes, 4);
    return *size <= MAX_TRACES && vm_u32(sizes, 0) <= *size;
}

bool remote_read_trace(target *t, remote_vm *vm, unsigned number, remote_trace *trace) {
    uint32_t size;
    if (number == 0 || number >= MAX_TRACES) return false;
    if (vm->traces_at != 0) return in_list(t, vm->traces_at, number, trace);
    for (uint64_t at = vm->g + VM_G_REGISTRY; at + 16 <= vm->dispatch; at += 8) {
        if (!is_list(t, at, &size) || size <= number || !in_list(t, at, number, trace)) continue;
        vm->traces_at = at;
        return true;
    }
    return false;
}

/* Look through what may be the list. What has something else than traces in it is not. */
static bool find_in_list(target *t, uint64_t list_at, uint32_t size, uint64_t ip, remote_trace *trace) {
    uint64_t list, address;
    if (!target_u64(t, list_at, &list) || list == 0 || list % 8 != 0) return false;
    for (unsigned number = 1; number < size; number++) {
        if (!target_u64(t, list + 8 * (uint64_t)number, &address)) return false;
        if (address == 0) continue;
        if (!trace_at(t, address, number, trace)) return false;
        if (ip - trace->code < trace->code_size) return true;
    }
    return false;
}

bool remote_find_trace(target *t, remote_vm *vm, uint64_t ip, remote_trace *trace) {
    uint32_t size;
    if (vm->traces_at != 0) return is_list(t, vm->traces_at, &size) && find_in_list(t, vm->traces_at, size, ip, trace);
    for (uint64_t at = vm->g + VM_G_REGISTRY; at + 16 <= vm->dispatch; at += 8) {
        if (!is_list(t, at, &size) || !find_in_list(t, at, size, ip, trace)) continue;
        vm->traces_at = at;
        return true;
    }
    return false;
}

/* ---- Snapshots ---- */

/* A snapshot, with the PC and the base that stand behind its entries. */
typedef struct snapshot {
    uint64_t map; /* address of its entries */
    unsigned entries, code;
    uint64_t pc;
    uint8_t base; /* slots from the trace's */
} snapshot;

static bool read_snapshot(target *t, const remote_trace *trace, unsigned n, snapshot *s) {
    unsigned char bytes[SNAP_BYTES], link[8];
    if (!target_read(t, vm_u64(trace->head, VM_TR_SNAP) + SNAP_BYTES * (uint64_t)n, bytes, sizeof bytes)) return false;
    uint32_t offset = vm_u32(bytes, SNAP_MAPOFS);
    s->entries = bytes[SNAP_NENT];
    s->code = vm_u16(bytes, SNAP_MCOFS) * remote_cpu_of(t)->code_unit;
    s->map = vm_u64(trace->head, VM_TR_SNAPMAP) + 4 * (uint64_t)offset;
    if ((uint64_t)offset + s->entries + 2 > vm_u32(trace->head, VM_TR_NSNAPMAP)) return false;
    if (!target_read(t, s->map + 4 * (uint64_t)s->entries, link, sizeof link)) return false;
    s->pc = vm_u64(link, 0) >> 8;
    s->base = link[0];
    return true;
}

/* The number of the last snapshot whose code begins at or before `offset` (lj_trace.c: trace_exit_find). */
static bool find_snapshot(target *t, const remote_trace *trace, uint64_t offset, unsigned *number, snapshot *s) {
    unsigned low = 0, high = vm_u16(trace->head, VM_TR_NSNAP);
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (!read_snapshot(t, trace, middle, s)) return false;
        if (offset < s->code) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == 0) return false;
    *number = low - 1;
    return read_snapshot(t, trace, *number, s);
}

/* Whether the trace leaves its base for another before it goes on in the trace it links to (lj_asm.c: asm_tail_link). */
static bool moves_base(target *t, const remote_trace *trace) {
    snapshot last;
    unsigned n = vm_u16(trace->head, VM_TR_NSNAP);
    return n == 0 || !read_snapshot(t, trace, n - 1, &last) || last.base != 0;
}

/*
 * The snapshot of a comparison, or of a loop's, is for the way that the trace does not go (lj_record.c: rec_comp_fixup,
 * rec_for): its PC is where the interpreter would go on there. What runs is the comparison. The next snapshot follows right
 * behind, and has the way that the trace goes. Returns the address of an instruction that leads to both; 0: there is none.
 */
static uint64_t fork_of(target *t, const remote_vm *vm, uint64_t way, uint64_t other) {
    vm_ins ins[2];
    for (int turn = 0; turn < 2; turn++) {
        const uint64_t next = turn == 0 ? way : other, jump = turn == 0 ? other : way;
        if (!target_read(t, next - 8, ins, sizeof ins)) return 0;
        vm_op op = remote_op(vm, ins[0]), last = remote_op(vm, ins[1]);
        uint64_t to = next + (uint64_t)(4 * (int64_t)VM_INS_J(ins[1]));
        if (to != jump) continue;
        if (last == VM_JMP && op >= VM_ISLT && op <= VM_ISF) return next - 8;
        if (last == VM_FORI || last == VM_JFORI) return next - 4;
    }
    return 0;
}

/* Whether some comparison or loop near leads to `pc`. What is read beyond the function only makes this more careful. */
static bool is_way(target *t, const remote_vm *vm, uint64_t pc) {
    enum { NEAR = 512 };
    vm_ins code[2 * NEAR];
    uint64_t from = pc - UINT64_C(4) * NEAR;
    if (!target_read(t, from, code, sizeof code)) return true;
    for (unsigned i = 1; i < 2 * NEAR; i++) {
        vm_op op = remote_op(vm, code[i]), before = remote_op(vm, code[i - 1]);
        bool forks = op == VM_FORI || op == VM_JFORI || (op == VM_JMP && before >= VM_ISLT && before <= VM_ISF);
        if (!forks) continue;
        uint64_t next = from + 4 * ((uint64_t)i + 1);
        if (next == pc || next + (uint64_t)(4 * (int64_t)VM_INS_J(code[i])) == pc) return true;
    }
    return false;
}

/*
 * The instruction that runs. In a loop, the last snapshot is followed by one before: that of the loop's beginning. Where
 * the next snapshot was merged into one further on, it cannot be told whether this one is a comparison's: then its PC is
 * only near.
 */
static bool settle_pc(target *t, const remote_vm *vm, const remote_trace *trace, unsigned number, const snapshot *s,
                      remote_where *w) {
    unsigned n = vm_u16(trace->head, VM_TR_NSNAP), from = number + 1 < n ? number + 1 : 0;
    w->pc = s->pc;
    w->pc_is_exact = true;
    if (number == 0) return true;
    for (unsigned i = from; i <= from + (from == 0 ? number : 0); i++) {
        snapshot next;
        if (!read_snapshot(t, trace, i, &next)) return false;
        if (next.base != s->base || next.pc == s->pc) continue;
        uint64_t fork = fork_of(t, vm, s->pc, next.pc);
        if (fork == 0) continue;
        w->pc = fork;
        return true;
    }
    snapshot before;
    if (!read_snapshot(t, trace, number - 1, &before)) return false;
    bool came = before.base == s->base && before.pc != s->pc && fork_of(t, vm, before.pc, s->pc) != 0;
    w->pc_is_near = !came && is_way(t, vm, s->pc);
    return true;
}

/* The value of a slot, where it is a constant: a function, or a frame's link. */
static bool constant(target *t, const remote_trace *trace, uint32_t entry, uint64_t *value) {
    uint32_t ref = entry & 0xffff, lowest = vm_u32(trace->head, VM_TR_NK);
    unsigned char head[10];
    if (ref >= REF_BIAS || ref < lowest) return false;
    uint64_t at = vm_u64(trace->head, VM_TR_IR) + IR_BYTES * (uint64_t)ref;
    if (!target_u64(t, at + IR_BYTES, value)) return false;
    if ((entry & (SNAP_FRAME | SNAP_CONT)) != 0) return true;
    if (*value % 8 != 0 || *value > VM_ADDRESS_MASK || !target_read(t, *value, head, sizeof head)) return false;
    if (head[VM_GC_TYPE] != VM_TYPE_FUNC) return false;
    *value |= (uint64_t)(int64_t)~VM_TYPE_FUNC << VM_TAG_SHIFT;
    return true;
}

/* The frame that the trace was entered with stands in memory, unless it was replaced by a tail call: then its link, slot
 * 1, is in the snapshot, to say so. */
static bool fill_slots(target *t, const remote_trace *trace, uint64_t map, unsigned n, remote_where *w) {
    bool replaced = false;
    for (unsigned i = 0; i < n; i++) {
        unsigned char bytes[4];
        if (!target_read(t, map + 4 * (uint64_t)i, bytes, sizeof bytes)) return false;
        uint32_t entry = vm_u32(bytes, 0), slot = entry >> 24;
        uint64_t value;
        replaced = replaced || (slot == 1 && (entry & SNAP_FRAME) != 0);
        if (slot == 1 || (entry & 0xffff) >= REF_BIAS || !constant(t, trace, entry, &value)) continue;
        w->has[slot] = true;
        w->slot[slot] = value;
    }
    w->has[0] = w->has[0] && replaced;
    return true;
}

bool remote_in_trace(target *t, const remote_vm *vm, const remote_trace *trace, uint64_t ip, remote_where *where) {
    unsigned number;
    snapshot s;
    remote_where w = *where;
    if (ip < trace->code || ip - trace->code >= trace->code_size) return false;
    if (ip - trace->code + TAIL >= trace->code_size && moves_base(t, trace)) return false;
    if (!find_snapshot(t, trace, ip - trace->code, &number, &s)) return false;
    if (!fill_slots(t, trace, s.map, s.entries, &w)) return false;
    if (!settle_pc(t, vm, trace, number, &s, &w)) return false;
    w.base = w.trace_base + 8 * (uint64_t)s.base;
    *where = w;
    return true;
}
