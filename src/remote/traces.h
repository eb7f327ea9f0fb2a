/*
 * Compiled code of a target: which trace, and from its snapshots where in the Lua program it stands.
 */
#ifndef LJINSPECT_REMOTE_TRACES_H
#define LJINSPECT_REMOTE_TRACES_H

#include "frames.h"

typedef struct remote_trace {
    unsigned number;
    uint64_t address;
    uint64_t code, code_size;
    unsigned stack_adjust; /* bytes that its code takes from the C stack */
    uint64_t start_proto, start_pc;
    unsigned link, root;
    uint8_t linktype;
    unsigned char head[VM_TR_SIZE];
} remote_trace;

/* False where there is no trace of that number, or it could not be found. Keeps in `vm` where the list of traces is. */
bool remote_read_trace(target *t, remote_vm *vm, unsigned number, remote_trace *trace);
/* The trace whose code has `ip`; false where none has. */
bool remote_find_trace(target *t, remote_vm *vm, uint64_t ip, remote_trace *trace);

/* Complete `where` of a thread that runs compiled code: its base, its PC and the slots of frames that only exist in the
 * snapshots. `ip` is an address in the trace's code. False where the snapshots do not tell; then `where` stands as it was. */
bool remote_in_trace(target *t, const remote_vm *vm, const remote_trace *trace, uint64_t ip, remote_where *where);

#endif
