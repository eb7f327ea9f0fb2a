/*
 * A still of a VM of a target that holds still: what src/bpf/still.bpf.c would take of it, of one coroutine.
 */
#ifndef LJINSPECT_TESTS_TAKE_STILL_H
#define LJINSPECT_TESTS_TAKE_STILL_H

#include <string.h>

#include "../../src/remote/still.h"
#include "../../src/remote/vms.h"

static bool take_piece(target *t, struct still *s, uint64_t from, uint64_t end) {
    struct still_piece p = {.address = from & ~UINT64_C(7), .start = from, .end = end};
    if (end < p.address || end - p.address > sizeof s->data) return false;
    p.len = (end - p.address) & ~UINT64_C(7);
    if (s->used + sizeof p + p.len > sizeof s->data) return false;
    memcpy(s->data + s->used, &p, sizeof p);
    if (target_read_bulk(t, p.address, s->data + s->used + sizeof p, p.len) != p.len) return false;
    s->used += (uint32_t)(sizeof p + p.len);
    return true;
}

/* The registers are there already. */
static bool take_still(target *t, const remote_vm *vm, struct still *s) {
    enum { THREAD = 96, C_STACK = 8192, HOT_COUNTS = 128 };
    remote_state state;
    remote_thread th;
    const uint64_t sp = s->reg[target_cpu_of(t) == CPU_ARM64 ? STILL_ARM64_SP : STILL_X64_SP];
    s->used = 0;
    if (!remote_read_state(t, vm, &state) || !remote_read_thread(t, vm, state.current, &th)) return false;
    /* A little below the interpreter's frame, and the frames above. */
    const target_map *stack = target_map_at(t, sp);
    const uint64_t low = th.cframe > sp + C_STACK / 2 ? th.cframe - C_STACK / 2 : sp;
    const uint64_t high = stack != NULL && stack->end - low < C_STACK ? stack->end : low + C_STACK;
    return take_piece(t, s, vm->g, vm->g + REMOTE_G_SIZE) &&
           take_piece(t, s, vm->dispatch - HOT_COUNTS, vm->dispatch + 8 * (uint64_t)vm->n_dispatch) &&
           take_piece(t, s, th.address, th.address + THREAD) && take_piece(t, s, th.stack, th.stack_end) &&
           take_piece(t, s, low, high);
}

#endif
