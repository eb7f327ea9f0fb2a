/*
 * Bringing a VM to a safepoint when a change of the hooks file waits.
 *
 *   - A VM that calls functions in the interpreter: the slots of the function headers lead here (any thread: one aligned
 *     store per slot).
 *   - One whose compiled code calls nothing: each collection looks whether a change waits (wake.h), and if so the slots
 *     of all instructions lead here. LuaJIT leaves compiled code after finalizers ran (lj_gc.c: lj_gc_step_jit).
 *   - One whose thread sleeps in a system call: the same, done by the watcher's thread, so that the change is applied
 *     before the next line and not with the next call.
 */
#include <errno.h>
#include <stdlib.h>

#include "trap.h"

/* lj_dispatch.c: lj_dispatch_update, "dynamic call dispatch". */
static uintptr_t header_handler(const trap_engine *e, unsigned i) {
    uint8_t m = trap_mode(e);
    if ((m & VM_MODE_CALL) != 0) return e->v.lay->callhook;
    return e->v.lay->func_handler[(m & (VM_MODE_JIT | VM_MODE_REC)) == VM_MODE_JIT][i];
}

/* A thread that sleeps in a system call writes nothing, and what it wrote before is to be seen; the thread sanitizer
 * cannot know. */
#define UNSEEN_BY_SANITIZER __attribute__((no_sanitize("thread")))

UNSEEN_BY_SANITIZER static void replace_slot(uintptr_t *slot, uintptr_t old, uintptr_t new) {
    if (__atomic_load_n(slot, __ATOMIC_RELAXED) != old) return;
    __atomic_compare_exchange_n(slot, &old, new, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

void trap_wake_calls(trap_engine *e) {
    for (unsigned i = 0; i < VM_FUNC_SLOTS; i++) {
        __atomic_store_n(&e->v.dispatch[e->v.lay->static_len + i], TRAP_WAKE_STUB, __ATOMIC_RELEASE);
    }
}

/*
 * The slots below FUNCF as they are now, or as LuaJIT would set them for the mode it has now, where that changed in the
 * moment in which another thread took them.
 */
static void unpause(trap_engine *e) {
    if (!atomic_load_explicit(&e->pause.taken, memory_order_acquire)) return;
    const vm_layout *lay = e->v.lay;
    unsigned instructions = VM_MODE_INS | VM_MODE_REC;
    bool changed = ((trap_mode(e) ^ e->pause.mode) & instructions) != 0;
    for (unsigned i = 0; i < lay->static_len; i++) {
        uintptr_t was = e->pause.slots[i];
        if (changed) was = (trap_mode(e) & VM_MODE_INS) != 0 ? lay->inshook : e->v.dispatch[lay->static_at + i];
        replace_slot(&e->v.dispatch[i], TRAP_PAUSE_STUB, was);
    }
}

void trap_unwake(trap_engine *e) {
    unpause(e);
    for (unsigned i = 0; i < VM_FUNC_SLOTS; i++) {
        replace_slot(&e->v.dispatch[e->v.lay->static_len + i], TRAP_WAKE_STUB, header_handler(e, i));
    }
}

void trap_settle(trap_engine *e) {
    trap_step_finish(e);
    unpause(e);
}

UNSEEN_BY_SANITIZER void trap_pause(trap_engine *e) {
    unsigned n = e->v.lay->static_len;
    uintptr_t *slots = e->v.dispatch;
    if (e->step.active || e->in_hit || (trap_mode(e) & VM_MODE_REC) != 0) return;
    for (unsigned i = 0; i < n; i++) {
        if (__atomic_load_n(&slots[i], __ATOMIC_RELAXED) == TRAP_PAUSE_STUB) return; /* taken already */
    }
    /* The VM may wake up meanwhile, do the same on its own thread, or begin a step: what is saved must never be a stub
     * that leads here or back (the VM would go round in it for ever), and a slot that has changed is left alone. */
    for (unsigned i = 0; i < n; i++) {
        uintptr_t slot = __atomic_load_n(&slots[i], __ATOMIC_RELAXED);
        if (slot == TRAP_PAUSE_STUB || slot == TRAP_REARM_STUB || slot == TRAP_REARM_FIXED_STUB) continue;
        __atomic_store_n(&e->pause.slots[i], slot, __ATOMIC_RELAXED);
    }
    e->pause.mode = trap_mode(e);
    atomic_store_explicit(&e->pause.taken, true, memory_order_release);
    for (unsigned i = 0; i < n; i++) replace_slot(&slots[i], e->pause.slots[i], TRAP_PAUSE_STUB);
}

/* ---- Collections ------------------------------------------------------------------------------------------------- */

static int start_cycle(lua_State *L) {
    wake_start_cycle(lua_touserdata(L, 1), L);
    return 0;
}

void trap_keep_cycle(trap_engine *e, lua_State *L) {
    if (!atomic_load(&e->watching) || e->wake.sentinel != NULL) return;
    trap_protect(e, L, start_cycle, &e->wake);
}

/* Runs in a finalizer. */
bool trap_cycle(void *owner, lua_State *L) {
    trap_engine *e = owner;
    (void)L;
    if (!atomic_load(&e->watching)) return false;
    if (e->base.host.change_waiting(e->base.host.owner)) trap_pause(e);
    return true;
}

/* ---- Entered from the stubs -------------------------------------------------------------------------------------- */

static bool may_apply(const trap_engine *e) {
    return (trap_mode(e) & VM_MODE_REC) == 0 && !e->in_hit &&
           (trap_hookmask(e) & (VM_HOOK_ACTIVE | VM_HOOK_VMEVENT | VM_HOOK_GC)) == 0 &&
           e->base.host.change_waiting(e->base.host.owner);
}

/* As vm_callhook and lj_dispatch_call: the callee's frame is the current one, its arguments on the stack. */
uintptr_t trap_wake(trap_regs *r) {
    int saved_errno = errno;
    trap_engine *e = trap_vms_find(r->vm);
    lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
    trap_step_finish(e);
    trap_unwake(e);
    if (may_apply(e)) {
        trap_sync_state(L, r, trap_arguments(r));
        /* A VM that is new has less. And at the header of a metamethod the top may be above the limit, in slots that LuaJIT
         * keeps for that alone (lj_state.c: LJ_STACK_EXTRA): the header makes room, and the watcher wakes again. */
        if (vm_stack_left(L) >= 0 && trap_have_stack(e, L, TRAP_STACK)) {
            trap_callout c = {.line = 0};
            trap_call_out(e, L, &c);
            if (!e->closed) trap_step_finish(e);
        }
        r->frame[VM_CFRAME_PC] = 0; /* "invalidate for subsequent line hook" */
        r->base = vm_base(L);
    }
    /* The header may be another: dropping a trace restores it (lj_trace.c: trace_unpatch). */
    trap_decode_header(r);
    errno = saved_errno;
    unsigned i = (unsigned)r->op - e->v.lay->static_len;
    uintptr_t go_on = i < VM_FUNC_SLOTS ? header_handler(e, i) : e->v.dispatch[r->op];
    if (e->closed) free(e);
    return go_on;
}

static uint32_t slots_in_use(const trap_engine *e, const trap_regs *r, const vm_proto *pt) {
    vm_ins *code = vm_proto_code(pt);
    if (trap_how_of(e->v.lay, code, vm_proto_size(pt), (uint32_t)(r->pc - 1 - code)) == TRAP_SLOT) {
        return trap_counted_slots(e, r);
    }
    return vm_u8(pt, VM_PT_FRAMESIZE);
}

uintptr_t trap_paused(trap_regs *r) {
    int saved_errno = errno;
    trap_engine *e = trap_vms_find(r->vm);
    lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
    uint64_t function;
    trap_step_finish(e);
    trap_unwake(e);
    memcpy(&function, r->base - 16, sizeof(function));
    const vm_proto *pt = vm_func_proto(e->v.lay, (const void *)(uintptr_t)(function & ((UINT64_C(1) << 47) - 1)));
    if (pt != NULL && may_apply(e)) {
        trap_sync_state(L, r, slots_in_use(e, r, pt));
        if (trap_have_stack(e, L, TRAP_STACK)) {
            trap_callout c = {.line = 0};
            trap_call_out(e, L, &c);
            if (!e->closed) trap_step_finish(e);
        }
        r->base = vm_base(L);
    }
    /* A trap may stand here by now, or a loop's trace be gone. */
    trap_decode(r, VM_INS_OP(r->pc[-1]));
    errno = saved_errno;
    uintptr_t go_on = e->v.dispatch[r->op];
    if (e->closed) free(e);
    return go_on;
}
