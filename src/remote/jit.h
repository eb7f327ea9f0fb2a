/*
 * What the JIT compiler of a VM keeps beside traces: where recording failed last, and why; and what it has given up.
 */
#ifndef LJINSPECT_REMOTE_JIT_H
#define LJINSPECT_REMOTE_JIT_H

#include "heap.h"

enum { JIT_PENALTIES = 64, JIT_REASONS_MAX = 64, JIT_REASON_TEXT = 64 };

/* Recording that began at `pc` failed. Older ones are forgotten: there are 64 places. */
typedef struct jit_penalty {
    uint64_t pc;
    unsigned value; /* how many turns until it is tried again; more each time */
    unsigned reason;
} jit_penalty;

/* Prototypes of a VM, by address. */
typedef struct jit_protos {
    uint64_t *list;
    size_t n, max;
    bool no_memory;
} jit_protos;

/* Reasons in words, if those of this build are known. */
typedef struct jit_reasons {
    bool known;
    char text[JIT_REASONS_MAX][JIT_REASON_TEXT];
    size_t n;
    char from[512]; /* where they were found */
} jit_reasons;

/* Called by heap_list() for each object: notes prototypes; `arg` is a jit_protos. */
void jit_note_proto(heap *h, uint64_t address, int type, uint32_t link, void *arg);
void jit_sort_protos(jit_protos *p);
/* The function whose code has `pc`; false where there is none. */
bool jit_proto_at(heap *h, const jit_protos *p, uint64_t pc, remote_func *f);

/* Returns how many there are; 0 also where they could not be found. */
size_t jit_read_penalties(heap *h, const jit_protos *protos, jit_penalty *list);
const jit_penalty *jit_penalty_of(const jit_penalty *list, size_t n, uint64_t pc);

/* The module jit.vmdef has them: as the VM has loaded it, or, for a process, in the file that it would load, if that file
 * knows as many instructions as the VM has. */
void jit_find_reasons(heap *h, bool is_process, jit_reasons *r);

#endif
