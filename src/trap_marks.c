/*
 * Marks: was an instruction entered from its own line? (trap_place.c) One per frame that executed an instruction which
 * leaves a mark.
 */
#include <stdlib.h>

#include "trap.h"

/* An open hash table by frame; the slot where the frame's mark is or would be. There is always an empty one. */
static size_t mark_start(const trap_engine *e, const lua_State *L, ptrdiff_t base) {
    uintptr_t key = ((uintptr_t)L >> 4) * 31 + (uintptr_t)(base >> 3);
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (e->cap_marks - 1);
}

static trap_mark *mark_of(const trap_engine *e, const lua_State *L, ptrdiff_t base) {
    size_t i = mark_start(e, L, base);
    while (e->marks[i].L != NULL && (e->marks[i].L != L || e->marks[i].base != base)) i = (i + 1) & (e->cap_marks - 1);
    return &e->marks[i];
}

/* Marks of frames that an error ended stay until their place on the stack is used again: forget all before they become
 * too many. Where memory is short, an arrival more is reported. */
static bool room_for_mark(trap_engine *e) {
    enum { FIRST = 64, MOST = 1 << 18 };
    if (e->n_marks * 2 < e->cap_marks) return true;
    size_t n = e->cap_marks, cap = n == 0 ? FIRST : n * 2;
    trap_mark *old = e->marks, *marks = calloc(cap > MOST ? FIRST : cap, sizeof(*marks));
    if (marks == NULL) return false;
    e->marks = marks;
    e->cap_marks = cap > MOST ? FIRST : cap;
    if (cap > MOST) e->n_marks = n = 0;
    for (size_t i = 0; i < n; i++) {
        if (old[i].L != NULL) *mark_of(e, old[i].L, old[i].base) = old[i];
    }
    free(old);
    return true;
}

static void remove_mark(trap_engine *e, trap_mark *m) {
    size_t mask = e->cap_marks - 1, hole = (size_t)(m - e->marks);
    e->n_marks--;
    for (size_t i = (hole + 1) & mask; e->marks[i].L != NULL; i = (i + 1) & mask) {
        size_t start = mark_start(e, e->marks[i].L, e->marks[i].base);
        if (((i - start) & mask) < ((i - hole) & mask)) continue; /* it stands between its start and here */
        e->marks[hole] = e->marks[i];
        hole = i;
    }
    e->marks[hole].L = NULL;
}

bool trap_arrives(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    ptrdiff_t base = r->base - (char *)vm_ptr(L, VM_L_STACK);
    trap_mark *m = e->cap_marks != 0 ? mark_of(e, L, base) : NULL;
    bool found = m != NULL && m->L != NULL;
    bool inner = p->mixed && found && m->proto == p->proto && m->line == p->line && m->at < p->at;
    if (p->mark && (found || room_for_mark(e))) {
        if (!found) e->n_marks++;
        *mark_of(e, L, base) = (trap_mark){.L = L, .base = base, .proto = p->proto, .at = p->at, .line = p->line};
    } else if (found) {
        remove_mark(e, m);
    }
    return p->report && !inner;
}
