/*
 * Dropping compiled code that holds hooked functions, and as little else as possible.
 *
 * LuaJIT drops a root trace with all its side traces: the loop it began with is interpreted again. But other traces may
 * still jump into it, so those that lead to a dropped one go, too. A trace stitched to the one before is entered from a
 * frame on the stack, which only dropping everything takes care of (lj_trace.c: lj_trace_flushall).
 */
#include "trap.h"

#include <ljinspect.h>
#include <luajit.h>
#include <stdlib.h>

enum { NUMBERS = 65536 };

static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

/* An aborted recording ends only at the next dispatch, and then may still rewrite the instruction it began with
 * (lj_trace.c: penalty_pc). Let that happen before a trap stands there. */
static bool settle_recorder(trap_engine *e, lua_State *L) {
    const uint8_t *mode = (const uint8_t *)e->v.g + e->v.lay->g_dispatchmode;
    if ((*mode & VM_MODE_REC) == 0) return true;
    trap_abort_recording(e, L);
    lua_pushcfunction(L, nothing);
    if (lua_pcall(L, 0, 0, 0) != 0) lua_pop(L, 1);
    return (*mode & VM_MODE_REC) == 0;
}

/* luaJIT_setmode() raises an error inside a finalizer, which compiled code may have called. */
static bool may_drop(trap_engine *e, lua_State *L) {
    if ((vm_u8(e->v.g, e->v.lay->g_hookmask) & (VM_HOOK_GC | VM_HOOK_VMEVENT)) != 0) return false;
    return settle_recorder(e, L);
}

int trap_drop_all(trap_engine *e, lua_State *L) {
    if (!e->v.lay->has_jit) return 0;
    if (!may_drop(e, L)) return LJINSPECT_ERR_BUSY;
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    return 0;
}

void trap_doomed_free(trap_doomed *d) {
    free(d->traces);
    d->traces = NULL;
}

bool trap_doomed_add(trap_doomed *d, const vm_trace *t) {
    if (vm_trace_number(t) == 0) return true;
    if (d->n == d->room) {
        size_t room = d->room == 0 ? 64 : d->room * 2;
        trap_doomed_trace *traces = realloc(d->traces, room * sizeof(*traces));
        if (traces == NULL) return false;
        d->traces = traces;
        d->room = room;
    }
    d->traces[d->n++] = (trap_doomed_trace){.t = t,
                                            .number = (uint16_t)vm_trace_number(t),
                                            .link = (uint16_t)vm_trace_link(t),
                                            .root = (uint16_t)vm_trace_root(t)};
    return true;
}

static int by_address(const void *a, const void *b) {
    uintptr_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Mark what must go; from here on the traces themselves are not looked at any more. */
void trap_doomed_choose(trap_doomed *d, const vm_layout *lay, vm_proto *const *protos, size_t n) {
    bool *doomed = calloc(NUMBERS, sizeof(*doomed)), change = true;
    vm_proto **sorted = calloc(n + 1, sizeof(*sorted));
    if (doomed == NULL || sorted == NULL || !lay->has_traces) {
        d->all = d->n > 0 || doomed == NULL || sorted == NULL;
        free(doomed);
        free(sorted);
        return;
    }
    if (n > 0) {
        memcpy(sorted, protos, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), by_address);
    }
    for (size_t i = 0; i < d->n; i++) {
        const trap_doomed_trace *t = &d->traces[i];
        if (protos == NULL && i < d->n_fresh) doomed[t->number] = vm_trace_gave_up(t->t);
        if (n > 0) doomed[t->number] = vm_trace_mentions(lay, t->t, sorted, n);
    }
    free(sorted);
    while (change) {
        change = false;
        for (size_t i = 0; i < d->n; i++) {
            const trap_doomed_trace *t = &d->traces[i];
            bool goes = doomed[t->number] || doomed[t->link] || (t->root != 0 && doomed[t->root]);
            if (!goes) continue;
            if (vm_trace_is_stitched(lay, t->t)) d->all = true;
            if (!doomed[t->number] || (t->root != 0 && !doomed[t->root])) change = true;
            doomed[t->number] = true;
            if (t->root != 0) doomed[t->root] = true;
        }
    }
    for (size_t i = 0; i < d->n; i++) d->traces[i].doomed = doomed[d->traces[i].number];
    free(doomed);
}

bool trap_doomed_any(const trap_doomed *d) {
    bool any = d->all;
    for (size_t i = 0; i < d->n && !any; i++) any = d->traces[i].doomed;
    return any;
}

int trap_doomed_drop(trap_doomed *d, trap_engine *e, lua_State *L) {
    if (!e->v.lay->has_jit) return 0;
    if (!trap_doomed_any(d) && (vm_u8(e->v.g, e->v.lay->g_dispatchmode) & VM_MODE_REC) == 0) return 0;
    if (!may_drop(e, L)) return LJINSPECT_ERR_BUSY;
    if (d->all) {
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
        return 0;
    }
    for (size_t i = 0; i < d->n; i++) {
        if (!d->traces[i].doomed || d->traces[i].root != 0) continue;
        luaJIT_setmode(L, d->traces[i].number, LUAJIT_MODE_TRACE | LUAJIT_MODE_FLUSH);
    }
    return 0;
}

static bool collect_trace(void *object, void *arg) {
    trap_doomed *d = arg;
    if (!trap_doomed_add(d, object)) d->all = true;
    return true;
}

static bool count_trace(void *object, void *arg) {
    if (vm_trace_number(object) != 0) ++*(size_t *)arg;
    return true;
}

/* What LuaJIT compiled around hooked functions, and gave up on, it shall try again. That may be a way out of a loop that it
 * had compiled before, which goes, too. */
int trap_drop_given_up(trap_engine *e, lua_State *L) {
    trap_doomed d = {.n = 0};
    if (!e->v.lay->has_jit) return 0;
    uint8_t white = vm_gc_white(L);
    vm_walk(&e->v, white, VM_TYPE_TRACE, e->begin, count_trace, &d.n_fresh);
    vm_walk(&e->v, white, VM_TYPE_TRACE, NULL, collect_trace, &d);
    lua_pop(L, 1);
    trap_doomed_choose(&d, e->v.lay, NULL, 0);
    int rc = trap_doomed_drop(&d, e, L);
    trap_doomed_free(&d);
    return rc;
}
