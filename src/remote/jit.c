#include "jit.h"

#include <stdlib.h>
#include <string.h>

/* ---- Prototypes ---- */

void jit_note_proto(heap *h, uint64_t address, int type, uint32_t link, void *arg) {
    jit_protos *p = arg;
    (void)h;
    (void)link;
    if (type != VM_TYPE_PROTO || p->no_memory) return;
    if (p->n == p->max) {
        size_t more = p->max == 0 ? 1024 : 2 * p->max;
        uint64_t *longer = realloc(p->list, more * sizeof *longer);
        p->no_memory = longer == NULL;
        if (longer == NULL) return;
        p->list = longer;
        p->max = more;
    }
    p->list[p->n++] = address;
}

static int by_address(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

void jit_sort_protos(jit_protos *p) {
    if (p->n > 0) qsort(p->list, p->n, sizeof *p->list, by_address);
}

bool jit_proto_at(heap *h, const jit_protos *p, uint64_t pc, remote_func *f) {
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->list[middle] <= pc) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *f = (remote_func){0};
    return low > 0 && remote_read_proto(h->t, p->list[low - 1], f) && remote_func_has(f, pc);
}

/* ---- Penalties ---- */

enum {
    /* lj_jit.h: HotPenalty: PC, value, reason; then the number of the place that is used next. */
    ENTRY = 16,
    PENALTIES_BYTES = ENTRY * JIT_PENALTIES,
    ENTRY_PC = 0,
    ENTRY_VALUE = 8,
    ENTRY_REASON = 10,
    VALUE_MIN = 72, /* PENALTY_MIN, PENALTY_MAX */
    VALUE_MAX = 60000
};

static bool is_empty(const unsigned char *e) {
    return vm_u64(e, ENTRY_PC) == 0 && vm_u16(e, ENTRY_VALUE) == 0 && vm_u16(e, ENTRY_REASON) == 0;
}

static bool is_sound(const unsigned char *e) {
    uint64_t pc = vm_u64(e, ENTRY_PC);
    unsigned value = vm_u16(e, ENTRY_VALUE);
    return pc != 0 && pc % 4 == 0 && pc <= VM_ADDRESS_MASK && value >= VALUE_MIN && value <= VALUE_MAX &&
           vm_u16(e, ENTRY_REASON) < JIT_REASONS_MAX;
}

/* Places are used one after the other: from the next one on backwards they are in use, and the rest is empty. At least one
 * must name an instruction that there is. */
static size_t penalties_at(heap *h, const jit_protos *protos, const unsigned char *at, jit_penalty *list) {
    uint32_t next = vm_u32(at, PENALTIES_BYTES);
    size_t n = 0, found = 0;
    if (next >= JIT_PENALTIES) return 0;
    for (size_t i = 0; i < JIT_PENALTIES; i++) {
        const unsigned char *e = at + ENTRY * ((next + JIT_PENALTIES - 1 - i) % JIT_PENALTIES);
        remote_func f;
        if (is_empty(e)) break;
        if (!is_sound(e)) return 0;
        list[n] = (jit_penalty){vm_u64(e, ENTRY_PC), vm_u16(e, ENTRY_VALUE), vm_u16(e, ENTRY_REASON)};
        found += jit_proto_at(h, protos, list[n].pc, &f);
        n++;
    }
    for (size_t i = n; i < JIT_PENALTIES; i++)
        if (!is_empty(at + ENTRY * ((next + JIT_PENALTIES - 1 - i) % JIT_PENALTIES))) return 0;
    return found > 0 ? n : 0;
}

size_t jit_read_penalties(heap *h, const jit_protos *protos, jit_penalty *list) {
    const uint64_t size = PENALTIES_BYTES + 4;
    uint64_t at = h->vm.traces_at != 0 ? h->vm.traces_at : h->vm.g + VM_G_REGISTRY;
    for (; at + size <= h->vm.dispatch; at += 8) {
        const unsigned char *bytes = copy_at(h->c, at, size);
        size_t n = bytes != NULL ? penalties_at(h, protos, bytes, list) : 0;
        if (n > 0) return n;
    }
    return 0;
}

const jit_penalty *jit_penalty_of(const jit_penalty *list, size_t n, uint64_t pc) {
    for (size_t i = 0; i < n; i++)
        if (list[i].pc == pc) return &list[i];
    return NULL;
}
