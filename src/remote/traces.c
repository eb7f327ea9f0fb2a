/*
 * lj_jit.h: GCtrace, SnapShot; lj_snap.c: snapshot_slots, snapshot_framelinks. A snapshot says what the interpreter would
 * find on its stack if it went on at the snapshot's PC: for each slot that compiled code changed a reference to the
 * instruction that has the value. Of these, frames' functions and links are constants as a rule.
 */
#include "traces.h"

#include <string.h>

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
    TAIL = 16, /* bytes: what a trace ends with, once it has left its base for that of the trace it links to */
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
bool remote_read_trace(target *t, remote_vm *vm, unsigned number, remote_trace *trace) {
    if (number == 0 || number >= MAX_TRACES) return false;
    if (vm->traces_at != 0) return in_list(t, vm->traces_at, number, trace);
    for (uint64_t at = vm->g + VM_G_REGISTRY; at + 16 <= vm->dispatch; at += 8) {
        unsigned char sizes[8];
        if (!target_read(t, at + 8, sizes, sizeof sizes)) return false;
        uint32_t free_one = vm_u32(sizes, 0), size = vm_u32(sizes, 4);
        if (size <= number || size > MAX_TRACES || free_one > size || !in_list(t, at, number, trace)) continue;
        vm->traces_at = at;
        return true;
    }
    return false;
}

/* ---- Snapshots ---- */

/* The last snapshot whose code begins at or before `offset` (lj_trace.c: trace_exit_find). */
static bool find_snapshot(target *t, const remote_trace *trace, uint64_t offset, unsigned char *snap) {
    uint64_t snaps = vm_u64(trace->head, VM_TR_SNAP);
    unsigned low = 0, high = vm_u16(trace->head, VM_TR_NSNAP);
    if (high == 0) return false;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (!target_read(t, snaps + SNAP_BYTES * (uint64_t)middle, snap, SNAP_BYTES)) return false;
        if (offset < vm_u16(snap, SNAP_MCOFS)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low > 0 && target_read(t, snaps + SNAP_BYTES * (uint64_t)(low - 1), snap, SNAP_BYTES);
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
    unsigned char snap[SNAP_BYTES], link[8];
    remote_where w = *where;
    (void)vm;
    if (ip < trace->code || ip - trace->code + TAIL >= trace->code_size) return false;
    if (!find_snapshot(t, trace, ip - trace->code, snap)) return false;
    uint32_t map_offset = vm_u32(snap, SNAP_MAPOFS), entries = vm_u8(snap, SNAP_NENT);
    if (map_offset + entries + 2 > vm_u32(trace->head, VM_TR_NSNAPMAP)) return false;
    uint64_t map = vm_u64(trace->head, VM_TR_SNAPMAP) + 4 * (uint64_t)map_offset;
    if (!fill_slots(t, trace, map, entries, &w)) return false;
    if (!target_read(t, map + 4 * (uint64_t)entries, link, sizeof link)) return false;
    w.pc = vm_u64(link, 0) >> 8;
    w.pc_is_exact = true;
    w.base = w.trace_base + 8 * (uint64_t)link[0];
    *where = w;
    return true;
}
