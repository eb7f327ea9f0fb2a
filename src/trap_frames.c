/*
 * Something remembered per frame of the program: an open hash table by coroutine and base.
 */
#include <stdlib.h>

#include "trap.h"

/* The slot where the frame is or would be. There is always an empty one. */
static size_t start_of(const trap_frames *f, const lua_State *L, ptrdiff_t base) {
    uintptr_t key = ((uintptr_t)L >> 4) * 31 + (uintptr_t)(base >> 3);
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (f->cap - 1);
}

static trap_frame *slot_of(const trap_frames *f, const lua_State *L, ptrdiff_t base) {
    size_t i = start_of(f, L, base);
    while (f->list[i].L != NULL && (f->list[i].L != L || f->list[i].base != base)) i = (i + 1) & (f->cap - 1);
    return &f->list[i];
}

static bool have_room(trap_frames *f) {
    enum { FIRST = 64, MOST = 1 << 18 };
    if (f->n * 2 < f->cap) return true;
    size_t n = f->cap, cap = n == 0 ? FIRST : n * 2;
    trap_frame *old = f->list, *list = calloc(cap > MOST ? FIRST : cap, sizeof(*list));
    if (list == NULL) return false;
    f->list = list;
    f->cap = cap > MOST ? FIRST : cap;
    if (cap > MOST) f->n = n = 0;
    for (size_t i = 0; i < n; i++) {
        if (old[i].L != NULL) *slot_of(f, old[i].L, old[i].base) = old[i];
    }
    free(old);
    return true;
}

trap_frame *trap_frames_find(const trap_frames *f, const lua_State *L, ptrdiff_t base) {
    trap_frame *at = f->cap != 0 ? slot_of(f, L, base) : NULL;
    return at != NULL && at->L != NULL ? at : NULL;
}

trap_frame *trap_frames_put(trap_frames *f, const lua_State *L, ptrdiff_t base) {
    trap_frame *at = trap_frames_find(f, L, base);
    if (at != NULL) return at;
    if (!have_room(f)) return NULL;
    f->n++;
    at = slot_of(f, L, base);
    *at = (trap_frame){.L = L, .base = base};
    return at;
}

void trap_frames_remove(trap_frames *f, trap_frame *at) {
    size_t mask = f->cap - 1, hole = (size_t)(at - f->list);
    f->n--;
    for (size_t i = (hole + 1) & mask; f->list[i].L != NULL; i = (i + 1) & mask) {
        size_t start = start_of(f, f->list[i].L, f->list[i].base);
        if (((i - start) & mask) < ((i - hole) & mask)) continue; /* it stands between its start and here */
        f->list[hole] = f->list[i];
        hole = i;
    }
    f->list[hole].L = NULL;
}

void trap_frames_free(trap_frames *f) {
    free(f->list);
    *f = (trap_frames){.n = 0};
}
