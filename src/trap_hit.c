/*
 * What the stubs call: hits, steps, wake-ups.
 *
 * Each is entered between two instructions of the interpreter, on the VM's thread, with the interpreter's registers in
 * `trap_regs`, and returns the machine code to go on with.
 */
#include "trap.h"

#include <errno.h>
#include <luajit.h>
#include <stdlib.h>

enum { HIT_STACK = LUA_MINSTACK + 24 };

/* Decode the instruction at `pc` again for the handler of `op` (vm_x64.dasc: vm_inshook). */
static void decode(trap_regs *r, uint8_t op) {
    vm_ins ins = r->pc[-1];
    r->a = VM_INS_A(ins);
    r->d = VM_INS_D(ins);
    r->op = op;
}

static uint8_t mode(const trap_engine *e) {
    return vm_u8(e->v.g, e->v.lay->g_dispatchmode);
}
static uint8_t hookmask(const trap_engine *e) {
    return vm_u8(e->v.g, e->v.lay->g_hookmask);
}

/* lua_sethook() aborts a recording but also restarts the program's count. */
void trap_abort_recording(trap_engine *e, lua_State *L) {
    int32_t count = vm_i32(e->v.g, e->v.lay->g_hookcount);
    lua_sethook(L, lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L));
    memcpy(e->v.g + e->v.lay->g_hookcount, &count, sizeof(count));
}

/* ---- Calling out ----------------------------------------------------------------------------------------------- */

static int grow_stack(lua_State *L) {
    lua_checkstack(L, 2 * HIT_STACK);
    return 0;
}

/* Free stack slots above the top; the stack may move. */
static bool have_stack(trap_engine *e, lua_State *L, int slots) {
    if (vm_stack_left(L) >= slots) return true;
    bool was = trap_hush(e);
    if (lua_cpcall(L, grow_stack, NULL) != 0) lua_pop(L, 1);
    trap_unhush(e, was);
    return vm_stack_left(L) >= slots;
}

/* Call the owner; afterwards the VM is as the interpreter left it (vm_x64.dasc: BC_FUNCC, after the call). */
typedef struct callout {
    const char *source;
    size_t source_len;
    int line; /* 0: a safepoint */
} callout;

/*
 * The call that the hooked function was called by: lua_getinfo() takes the function's name from it (lj_debug.c:
 * lj_debug_funcname), so a trap that stands on it is lifted while filters run. lj_frame.h: the slot below the base
 * holds the return address, with 3 low bits of type (0: a Lua function; 3: varargs, an offset to the frame below).
 */
static trap_place *calling_place(const trap_engine *e, const char *base) {
    uintptr_t link = (uintptr_t)vm_ptr(base, -8);
    if ((link & 7) == 3) link = (uintptr_t)vm_ptr(base - (link & ~(uintptr_t)7), -8);
    if ((link & 3) != 0) return NULL;
    trap_place *p = trap_find_place(e, (const vm_ins *)link - 1);
    return p != NULL && p->how != TRAP_SLOT ? p : NULL;
}

static void set_opcode(vm_ins *at, uint8_t op) {
    *(volatile uint8_t *)(void *)at = op;
}

static void call_out(trap_engine *e, lua_State *L, const callout *c) {
    int32_t vmstate = vm_i32(e->v.g, e->v.lay->g_vmstate);
    const engine_host *host = &e->base.host;
    bool was = trap_hush(e);
    e->in_hit = true;
    if (c->line > 0) {
        trap_place *call = calling_place(e, vm_base(L));
        vm_ins *at = call != NULL ? call->at : NULL;
        if (call != NULL) set_opcode(at, call->opcode);
        host->hit(host->owner, L, c->source, c->source_len, c->line);
        if (at != NULL && !e->closed && (call = trap_find_place(e, at)) != NULL) set_opcode(at, call->trap);
    } else {
        host->safepoint(host->owner, L);
    }
    e->in_hit = false;
    trap_unhush(e, was);
    vm_set_ptr(e->v.g, e->v.lay->g_cur_l, L);
    memcpy(e->v.g + e->v.lay->g_vmstate, &vmstate, sizeof(vmstate));
}

/* Make the state look as a C function called by the current instruction would see it (lj_dispatch.c: lj_dispatch_ins,
 * cur_topslot). */
static void sync_state(const trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    const vm_layout *lay = e->v.lay;
    vm_ins ins = *p->at;
    uint32_t slots = vm_u8(p->proto->pt, VM_PT_FRAMESIZE);
    if (p->how == TRAP_SLOT) {
        uint32_t results = (uint32_t)r->frame[VM_CFRAME_MULTRES] - 1;
        if (lay->name[p->opcode] == VM_UCLO) ins = r->pc[VM_INS_J(ins)];
        switch (lay->name[VM_INS_OP(ins)]) {
        case VM_CALLM: slots = VM_INS_A(ins) + VM_INS_C(ins) + results + 2; break;
        case VM_CALLMT: slots = VM_INS_A(ins) + VM_INS_D(ins) + results + 2; break;
        case VM_RETM: slots = VM_INS_A(ins) + VM_INS_D(ins) + results; break;
        case VM_TSETM: slots = VM_INS_A(ins) + results; break;
        default: break;
        }
    }
    vm_set_ptr(L, VM_L_BASE, r->base);
    vm_set_ptr(L, VM_L_TOP, r->base + 8 * (size_t)slots);
    r->frame[VM_CFRAME_PC] = (uintptr_t)r->pc;
}

/* ---- Marks: was this instruction entered from its own line? (trap_place.c) -------------------------------------- */

static trap_mark *mark_of(trap_engine *e, const lua_State *L, ptrdiff_t base) {
    size_t i = ((uintptr_t)L >> 4) * 31 + (size_t)(base >> 3);
    return &e->marks[i % TRAP_MARKS];
}

static bool arrives(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    ptrdiff_t base = r->base - (char *)vm_ptr(L, VM_L_STACK);
    trap_mark *m = mark_of(e, L, base);
    bool inner =
        p->mixed && m->L == L && m->base == base && m->proto == p->proto && m->line == p->line && m->at < p->at;
    if (p->mark) {
        *m = (trap_mark){.L = L, .base = base, .proto = p->proto, .at = p->at, .line = p->line};
    } else if (m->L == L && m->base == base) {
        m->L = NULL;
    }
    return p->report && !inner;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------ */

/* Only slots that are still ours: a signal handler's lua_sethook() may have set others meanwhile. */
void trap_step_finish(trap_engine *e) {
    if (!e->step.active) return;
    e->step.active = false;
    unsigned n = e->v.lay->dynamic_len;
    if (memcmp(e->v.dispatch, e->step.rearm, n * sizeof(uintptr_t)) == 0) {
        memcpy(e->v.dispatch, e->step.slots, n * sizeof(uintptr_t));
    } else {
        for (unsigned i = 0; i < n; i++) {
            if (e->v.dispatch[i] == TRAP_REARM_STUB) e->v.dispatch[i] = e->step.slots[i];
        }
    }
    if (e->step.hookmask_off != 0) e->v.g[e->v.lay->g_hookmask] = (char)(hookmask(e) | e->step.hookmask_off);
    trap_proto *p = e->step.proto;
    if (p == NULL) return;
    for (uint32_t i = 0; i < p->n_places; i++) { /* the step may have rewritten instructions */
        trap_place *place = &p->places[i];
        if (place->how != TRAP_SLOT && !trap_is_trap(e, VM_INS_OP(*place->at))) place->opcode = VM_INS_OP(*place->at);
    }
    trap_insert(e, p);
}

static void step_begin(trap_engine *e, lua_State *L, trap_proto *p) {
    unsigned n = e->v.lay->dynamic_len;
    if (p != NULL) {
        if (e->step_anchor != p->pt && have_stack(e, L, 8)) trap_anchor(e, L, p->pt);
        trap_extract(e, p);
    }
    e->step.proto = p;
    e->step.hookmask_off = 0;
    memcpy(e->step.slots, e->v.dispatch, n * sizeof(uintptr_t));
    memcpy(e->v.dispatch, e->step.rearm, n * sizeof(uintptr_t));
    e->step.active = true;
}

uintptr_t trap_rearm(trap_regs *r) {
    trap_engine *e = trap_vms_find(r->dispatch);
    trap_step_finish(e);
    if (e->ret.L != NULL) { /* past the return, not in its hook: the frame is gone */
        lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
        if (L != e->ret.L || r->base - (char *)vm_ptr(L, VM_L_STACK) <= e->ret.base) e->ret.L = NULL;
    }
    /* The instruction to come was fetched while the traps were out. */
    if (r->op < e->v.lay->static_len && trap_is_trap(e, VM_INS_OP(r->pc[-1]))) r->op = VM_INS_OP(r->pc[-1]);
    return r->dispatch[r->op];
}

/*
 * Whether the instruction, with the operands it has now, will look at its opcode. The fast paths of vm_x64.dasc do not:
 * numbers for operators, no cdata for (in)equality, a table of globals without metatable. When in doubt, yes.
 */
static bool reads_itself(const vm_layout *lay, const trap_regs *r, const trap_place *p) {
    vm_ins ins = *p->at;
    const uint64_t *slot = (const uint64_t *)(const void *)r->base;
    uint8_t op = lay->name[p->opcode];
    if (op >= VM_ISEQV && op <= VM_ISNEP) {
        if (vm_type_of(slot[VM_INS_A(ins)]) == VM_TYPE_CDATA) return true;
        return op <= VM_ISNEV && vm_type_of(slot[VM_INS_D(ins)]) == VM_TYPE_CDATA;
    }
    if (op == VM_GGET || op == VM_GSET) {
        const void *func = (const void *)(uintptr_t)(slot[-2] & ((UINT64_C(1) << 47) - 1));
        return vm_ptr(vm_ptr(func, VM_FUNC_ENV), VM_TAB_METATABLE) != NULL;
    }
    if (lay->has_integers) return true;
    if (op >= VM_ISLT && op <= VM_ISGT) return !vm_is_double(slot[VM_INS_A(ins)]) || !vm_is_double(slot[VM_INS_D(ins)]);
    if (op == VM_UNM) return !vm_is_double(slot[VM_INS_D(ins)]);
    if (op >= VM_ADDVN && op <= VM_MODNV) return !vm_is_double(slot[VM_INS_B(ins)]);
    if (op >= VM_ADDVV && op <= VM_POW) return !vm_is_double(slot[VM_INS_B(ins)]) || !vm_is_double(slot[VM_INS_C(ins)]);
    return true;
}

/* ---- Returns with a return hook of the program ------------------------------------------------------------------- */

/*
 * vm_rethook and lj_dispatch_ins look at the opcode to see that it is a return. So: put it back, go through vm_rethook,
 * which calls the hook and then dispatches the instruction again; by then (the hook's own code was dispatched) the trap
 * is back, and the second time round the return is let through. Line and count events were already given where the
 * program has those hooks, too: they are off while lj_dispatch_ins runs.
 */
static bool is_return(const vm_layout *lay, uint8_t op) {
    return lay->name[op] == VM_RET || lay->name[op] == VM_RET0 || lay->name[op] == VM_RET1;
}

static bool second_time(trap_engine *e, const lua_State *L, const trap_regs *r) {
    if (e->ret.L == NULL) return false;
    ptrdiff_t base = r->base - (char *)vm_ptr(L, VM_L_STACK);
    bool same = e->ret.L == L && e->ret.pc == r->pc && e->ret.base == base;
    if (same || (e->ret.L == L && base <= e->ret.base)) e->ret.L = NULL; /* or the hook raised an error */
    return same;
}

static bool wants_return(const trap_engine *e, uint8_t op) {
    return (hookmask(e) & (LUA_MASKRET | VM_HOOK_ACTIVE)) == LUA_MASKRET && is_return(e->v.lay, op);
}

/* `p` is NULL where the hook was removed by its own filter: no trap is there the second time. */
static uintptr_t return_begin(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    e->ret.L = p != NULL ? L : NULL;
    e->ret.pc = r->pc;
    step_begin(e, L, p != NULL ? p->proto : NULL);
    e->ret.base = vm_base(L) - (char *)vm_ptr(L, VM_L_STACK);
    e->step.hookmask_off = hookmask(e) & (LUA_MASKLINE | LUA_MASKCOUNT);
    e->v.g[e->v.lay->g_hookmask] = (char)(hookmask(e) & ~e->step.hookmask_off);
    return e->v.lay->rethook;
}

/* ---- Traps ------------------------------------------------------------------------------------------------------ */

uintptr_t trap_enter(trap_regs *r) {
    int saved_errno = errno;
    trap_engine *e = trap_vms_find(r->dispatch);
    const vm_layout *lay = e->v.lay; /* a VM whose slots lead here has an engine */
    lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
    trap_step_finish(e);
    trap_place *p = trap_find_place(e, r->pc - 1);
    uint8_t op = p != NULL ? p->opcode : VM_INS_OP(r->pc[-1]);
    uintptr_t go_on = 0;
    if (p != NULL && !second_time(e, L, r)) {
        sync_state(e, L, r, p);
        if (lay->has_jit && (vm_u8(p->proto->pt, VM_PT_FLAGS) & lay->flag_nojit) == 0) {
            /* The program switched the JIT on again; a recording may have seen our opcode. */
            ((uint8_t *)p->proto->pt)[VM_PT_FLAGS] |= lay->flag_nojit;
            trap_abort_recording(e, L);
        }
        if (arrives(e, L, r, p) && !e->in_hit && have_stack(e, L, HIT_STACK)) {
            callout c = {.line = p->line};
            c.source = vm_proto_source(p->proto->pt, &c.source_len);
            call_out(e, L, &c);
            if (e->closed) {
                free(e);
                r->base = vm_base(L);
                decode(r, VM_INS_OP(r->pc[-1]));
                errno = saved_errno;
                return lay->handler[r->op];
            }
            /* Hooks may have come and gone, the stack may have moved. */
            trap_step_finish(e);
            p = trap_find_place(e, r->pc - 1);
            op = p != NULL ? p->opcode : VM_INS_OP(r->pc[-1]);
        }
        r->base = vm_base(L);
        if (p != NULL && p->how == TRAP_STEP && reads_itself(lay, r, p)) {
            step_begin(e, L, p->proto);
        } else if (wants_return(e, op)) {
            go_on = return_begin(e, L, r, p);
        }
        r->base = vm_base(L);
    }
    decode(r, op);
    errno = saved_errno;
    return go_on != 0 ? go_on : lay->handler[op];
}

/* ---- Wake-ups --------------------------------------------------------------------------------------------------- */

/* lj_dispatch.c: lj_dispatch_update, "dynamic call dispatch". */
static uintptr_t header_handler(const trap_engine *e, unsigned i) {
    uint8_t m = mode(e);
    if ((m & VM_MODE_CALL) != 0) return e->v.lay->callhook;
    return e->v.lay->func_handler[(m & (VM_MODE_JIT | VM_MODE_REC)) == VM_MODE_JIT][i];
}

void trap_unwake(trap_engine *e) {
    for (unsigned i = 0; i < VM_FUNC_SLOTS; i++) {
        uintptr_t *slot = &e->v.dispatch[e->v.lay->static_len + i], wake = TRAP_WAKE_STUB;
        if (__atomic_load_n(slot, __ATOMIC_RELAXED) == wake) {
            __atomic_compare_exchange_n(slot, &wake, header_handler(e, i), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        }
    }
}

uintptr_t trap_wake(trap_regs *r) {
    int saved_errno = errno;
    trap_engine *e = trap_vms_find(r->dispatch);
    lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
    trap_step_finish(e);
    trap_unwake(e);
    const engine_host *host = &e->base.host;
    bool quiet = (mode(e) & VM_MODE_REC) == 0 && (hookmask(e) & (VM_HOOK_ACTIVE | VM_HOOK_VMEVENT | VM_HOOK_GC)) == 0 &&
                 !e->in_hit;
    char *top = r->base + 8 * (r->d - 1); /* d: arguments + 1 */
    if (quiet && host->change_waiting(host->owner) && (char *)vm_ptr(L, VM_L_MAXSTACK) - top >= 8 * HIT_STACK) {
        /* As vm_callhook and lj_dispatch_call: the callee's frame is the current one, its arguments on the stack. */
        vm_set_ptr(L, VM_L_BASE, r->base);
        vm_set_ptr(L, VM_L_TOP, top);
        r->frame[VM_CFRAME_PC] = (uintptr_t)r->pc;
        callout c = {.line = 0};
        call_out(e, L, &c);
        r->frame[VM_CFRAME_PC] = 0; /* "invalidate for subsequent line hook" */
        if (!e->closed) trap_step_finish(e);
        r->base = vm_base(L);
    }
    /* The header may be another: dropping a trace restores it (lj_trace.c: trace_unpatch). */
    r->op = VM_INS_OP(r->pc[-1]);
    r->a = VM_INS_A(r->pc[-1]);
    errno = saved_errno;
    unsigned i = (unsigned)r->op - e->v.lay->static_len;
    uintptr_t go_on = i < VM_FUNC_SLOTS ? header_handler(e, i) : r->dispatch[r->op];
    if (e->closed) free(e);
    return go_on;
}
