/*
 * Compiled code: which traces hold code of which functions.
 */
#ifndef LJINSPECT_VM_TRACE_H
#define LJINSPECT_VM_TRACE_H

#include "vm_layout.h"
#include "vm_proto.h"

typedef struct vm_trace vm_trace; /* a GCtrace; its IR constants, IR, snapshots and snapshot map follow */

enum {
    VM_TR_NSNAP = 10,
    VM_TR_NINS = 12,
    VM_TR_IR = 32,
    VM_TR_NK = 40,
    VM_TR_NSNAPMAP = 44,
    VM_TR_SNAP = 48,
    VM_TR_SNAPMAP = 56,
    VM_TR_STARTPT = 64,
    VM_TR_STARTPC = 72,
    VM_TR_STARTINS = 80,
    VM_TR_TRACENO = 104,
    VM_TR_LINK = 106,
    VM_TR_ROOT = 108,
    VM_TR_LINKTYPE = 116
};

static inline unsigned vm_trace_number(const vm_trace *t) {
    return vm_u16(t, VM_TR_TRACENO);
} /* 0: dropped */
static inline unsigned vm_trace_link(const vm_trace *t) {
    return vm_u16(t, VM_TR_LINK);
}
static inline unsigned vm_trace_root(const vm_trace *t) {
    return vm_u16(t, VM_TR_ROOT);
} /* 0: is a root */
/* True if the trace holds code of one of the functions, or may. They are in ascending order. */
bool vm_trace_mentions(const vm_layout *lay, const vm_trace *t, vm_proto *const *protos, size_t n);
/* True if the trace ends in the interpreter because LuaJIT gave up on compiling what follows. */
bool vm_trace_gave_up(const vm_trace *t);
/* True if the trace continues another one after a call that cannot be compiled ("stitched"). */
bool vm_trace_is_stitched(const vm_layout *lay, const vm_trace *t);

#endif
