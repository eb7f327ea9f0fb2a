/*
 * What the stubs call at hits and at the ends of steps.
 *
 * Each is entered between two instructions of the interpreter, on the VM's thread, with the interpreter's registers in
 * `trap_regs`, and returns the machine code to go on with.
 */
#include "trap.h"

#include <errno.h>
#include <luajit.h>
#include <stdlib.h>

#include "ticks.h"

enum { FILTER_STACK = 300 };

#ifndef LUAI_MAXSTACK
#define LUAI_MAXSTACK 65500
#endif

enum { HOOK_EVENTS = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };

static void set_hookmask(trap_engine *e, unsigned bits) {
    e->v.g[e->v.lay->g_hookmask] = (char)bits;
}

/* lua_sethook() aborts a recording but also restarts the program's count, and forgets a hook without events. */
void trap_abort_recording(trap_engine *e, lua_State *L) {
    int32_t count = vm_i32(e->v.g, e->v.lay->g_hookcount);
    bool muted = e->muted != 0 && (trap_hookmask(e) & HOOK_EVENTS) == 0;
    lua_sethook(L, lua_gethook(L), lua_gethookmask(L) | (muted ? e->muted : 0), lua_gethookcount(L));
    memcpy(e->v.g + e->v.lay->g_hookcount, &count, sizeof(count));
    if (muted) set_hookmask(e, trap_hookmask(e) & ~(unsigned)HOOK_EVENTS);
}

/* ---- Calling out ----------------------------------------------------------------------------------------------- */

static int grow_stack(lua_State *L) {
    lua_checkstack(L, 2 * TRAP_STACK);
    return 0;
}

/*
 * The top may be above the limit: by one slot in a function with varargs on arm64, whose header looks for one slot too few
 * (vm_arm64.dasc, BC_IFUNCV, before LuaJIT's of September 2023), and by what a trace leaves that ends at an instruction
 * that takes its count from the one before (lj_snap.c, lj_snap_restore, looks for room for frames only). The limit and the
 * slots behind it are 8 (lj_state.c: LJ_STACK_EXTRA, 7, and one; one more since then), and lua_cpcall() writes 3 before the
 * header of what it calls makes room, or a fourth with the message where there is no memory for that (lj_err.c: lj_err_mem).
 */
enum { OVER_LIMIT_MAX = 8 - 4 };

/*
 * Free stack slots above the top; the stack may move. A stack that has grown past its greatest size stays so until a
 * collection, and then the program's own overflow would be one "while handling overflow" (lj_state.c:
 * lj_state_growstack), for which xpcall() calls no handler. So the last slots are not for us.
 */
bool trap_have_stack(trap_engine *e, lua_State *L, int slots) {
    ptrdiff_t left = vm_stack_left(L);
    if (left >= slots) return true;
    if (left < -OVER_LIMIT_MAX) return false;
    if (((char *)vm_ptr(L, VM_L_MAXSTACK) - (char *)vm_ptr(L, VM_L_STACK)) / 8 + (ptrdiff_t)3 * TRAP_STACK >
        LUAI_MAXSTACK) {
        return false;
    }
    trap_protect(e, L, grow_stack, NULL);
    return vm_stack_left(L) >= slots;
}

/* Also for what filters call. */
static bool have_filter_stack(trap_engine *e, lua_State *L) {
    if ((vm_top(L) - (char *)vm_ptr(L, VM_L_STACK)) / 8 + FILTER_STACK > LUAI_MAXSTACK) return false;
    return trap_have_stack(e, L, TRAP_STACK);
}

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
    return p != NULL && p->how != TRAP_SLOT && VM_INS_OP(*p->at) == p->trap ? p : NULL;
}

void trap_call_out(trap_engine *e, lua_State *L, const trap_callout *c) {
    int32_t vmstate = vm_i32(e->v.g, e->v.lay->g_vmstate);
    uint8_t status = vm_u8(L, VM_L_STATUS);
    const engine_host *host = &e->base.host;
    /* The program's debug hooks do not see filters. HOOK_ACTIVE would do, but a C function that yields takes it for a
     * yield of the hook (lj_api.c: lua_yield); so the events are off, unless a filter sets hooks. */
    uint8_t before = trap_mode(e);
    lua_Hook program_hook = lua_gethook(L);
    e->muted = trap_hookmask(e) & HOOK_EVENTS;
    set_hookmask(e, trap_hookmask(e) & ~(unsigned)HOOK_EVENTS);
    e->in_hit = true;
    trap_set_status(L, LUA_OK); /* a filter's first error is not one within the program's handler */
    if (c->line > 0) {
        trap_place *call = calling_place(e, vm_base(L));
        vm_ins *at = call != NULL ? call->at : NULL;
        if (call != NULL) trap_set_opcode(at, call->opcode);
        host->hit(host->owner, L, c->source, c->source_len, c->line);
        if (at != NULL && !e->closed && (call = trap_find_place(e, at)) != NULL) trap_set_opcode(at, call->trap);
    } else {
        host->safepoint(host->owner, L);
    }
    e->in_hit = false;
    trap_set_status(L, status);
    bool unchanged = (trap_hookmask(e) & HOOK_EVENTS) == 0 && lua_gethook(L) == program_hook;
    if (unchanged && e->muted != 0) {
        set_hookmask(e, trap_hookmask(e) | e->muted);
        e->muted = 0;
        /* A recording, say, made LuaJIT set the slots as for no hooks. */
        if (((trap_mode(e) ^ before) & (VM_MODE_CALL | VM_MODE_RET | VM_MODE_INS)) != 0) trap_abort_recording(e, L);
    }
    e->muted = 0;
    vm_set_ptr(e->v.g, e->v.lay->g_cur_l, L);
    memcpy(e->v.g + e->v.lay->g_vmstate, &vmstate, sizeof(vmstate));
}

/* Stack slots in use before the instruction of kind TRAP_SLOT at pc - 1 (lj_dispatch.c: cur_topslot). */
uint32_t trap_counted_slots(const trap_engine *e, const trap_regs *r) {
    const vm_layout *lay = e->v.lay;
    vm_ins ins = r->pc[-1];
    uint32_t results = vm_cframe_results(r->frame);
    if (lay->name[VM_INS_OP(ins)] == VM_UCLO) ins = r->pc[VM_INS_J(ins)];
    switch (lay->name[VM_INS_OP(ins)]) {
    case VM_CALLM: return VM_INS_A(ins) + VM_INS_C(ins) + results + 2;
    case VM_CALLMT: return VM_INS_A(ins) + VM_INS_D(ins) + results + 2;
    case VM_RETM: return VM_INS_A(ins) + VM_INS_D(ins) + results;
    case VM_TSETM: return VM_INS_A(ins) + results;
    default: return 0;
    }
}

void trap_sync_state(lua_State *L, const trap_regs *r, uint32_t slots) {
    vm_set_ptr(L, VM_L_BASE, r->base);
    vm_set_ptr(L, VM_L_TOP, r->base + 8 * (size_t)slots);
    r->frame[VM_CFRAME_PC] = (uintptr_t)r->pc;
}

/* Whether the function that runs is one of LuaJIT's libraries, which have the opcodes that our traps have in others: they
 * come without line information (lj_lib.c: lib_read_lfunc), and what is hooked has it. */
static bool is_builtin(const trap_engine *e, const trap_regs *r) {
    const char *function = (const char *)(uintptr_t)(vm_u64(r->base, -16) & VM_ADDRESS_MASK);
    const vm_proto *pt = vm_func_proto(e->v.lay, function);
    return pt != NULL && vm_proto_stripped(pt);
}

/*
 * The place at which the interpreter stands, if it is one. The entry may be of a function that was freed, whose memory
 * is another's by now: a trap opcode is there only if we wrote it, or in a built-in function; a place without one asks
 * whether its function lives.
 * Leaves base and top as a C function would see them; the stack may move.
 */
static trap_place *current_place(trap_engine *e, lua_State *L, trap_regs *r) {
    trap_place *p = trap_find_place(e, r->pc - 1);
    if (p == NULL || VM_INS_OP(*p->at) != (p->how == TRAP_SLOT ? p->opcode : p->trap)) return NULL;
    if (p->how != TRAP_SLOT && is_builtin(e, r)) return NULL;
    trap_sync_state(L, r, p->how == TRAP_SLOT ? trap_counted_slots(e, r) : vm_u8(p->proto->pt, VM_PT_FRAMESIZE));
    bool alive = p->how != TRAP_SLOT || (trap_have_stack(e, L, 6) && trap_alive(e, L, p->proto));
    r->base = vm_base(L);
    return alive ? p : NULL;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------ */

/*
 * Both halves of the table lead to us. The dynamic one may be set by LuaJIT during a step: by the profiler's signal or
 * a signal handler's lua_sethook(), or by a host that calls it after the instruction raised an error. Then what LuaJIT
 * put there goes on to the static half, or is filled from it, so that the end of the step comes all the same.
 */
static bool counting(uint8_t dispatchmode) {
    return (dispatchmode & (VM_MODE_JIT | VM_MODE_REC)) == VM_MODE_JIT;
}

/*
 * The dynamic half, copied and compared. The slots of function headers another thread may take at any moment, with one
 * store each (trap_wake_calls): one that is lost here is made again, for the watcher goes on until its change is taken.
 */
static void load_slots(uintptr_t *to, const trap_engine *e) {
    const unsigned n = e->v.lay->static_len, behind = n + VM_FUNC_SLOTS;
    const uintptr_t *from = e->v.dispatch;
    memcpy(to, from, n * sizeof *to);
    for (unsigned i = n; i < behind; i++) to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    memcpy(to + behind, from + behind, (e->v.lay->dynamic_len - behind) * sizeof *to);
}

static void store_slots(trap_engine *e, const uintptr_t *from) {
    const unsigned n = e->v.lay->static_len, behind = n + VM_FUNC_SLOTS;
    uintptr_t *to = e->v.dispatch;
    memcpy(to, from, n * sizeof *to);
    for (unsigned i = n; i < behind; i++) __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    memcpy(to + behind, from + behind, (e->v.lay->dynamic_len - behind) * sizeof *to);
}

static bool slots_are(const trap_engine *e, const uintptr_t *what) {
    const unsigned n = e->v.lay->static_len, behind = n + VM_FUNC_SLOTS;
    const uintptr_t *now = e->v.dispatch;
    for (unsigned i = n; i < behind; i++) {
        if (__atomic_load_n(&now[i], __ATOMIC_RELAXED) != what[i]) return false;
    }
    return memcmp(now, what, n * sizeof *now) == 0 &&
           memcmp(now + behind, what + behind, (e->v.lay->dynamic_len - behind) * sizeof *now) == 0;
}

static void give_slots_back(trap_engine *e) {
    const vm_layout *lay = e->v.lay;
    uintptr_t *dynamic = e->v.dispatch, *fixed = e->v.dispatch + lay->static_at;
    uint8_t now = trap_mode(e);
    for (unsigned i = 0; i < lay->static_len; i++) {
        if (fixed[i] == TRAP_REARM_FIXED_STUB) fixed[i] = e->step.fixed[i];
    }
    if (counting(e->step.mode) &&
        !counting(now)) { /* lj_dispatch_update copied what it took for the others' handlers */
        static const uint8_t loops[] = {VM_FORL, VM_ITERL, VM_LOOP, VM_ITERN};
        for (size_t i = 0; i < sizeof(loops); i++) fixed[lay->number[loops[i]]] = lay->handler[lay->number[loops[i]]];
    }
    bool changed = ((now ^ e->step.mode) & ~(unsigned)(VM_MODE_CALL | VM_MODE_RET)) != 0;
    for (unsigned i = 0; i < lay->dynamic_len; i++) {
        uintptr_t slot = __atomic_load_n(&dynamic[i], __ATOMIC_RELAXED);
        if (slot != TRAP_REARM_STUB && slot != TRAP_REARM_FIXED_STUB) continue;
        slot = changed && i < lay->static_len ? fixed[i] : e->step.slots[i];
        __atomic_store_n(&dynamic[i], slot, __ATOMIC_RELAXED);
    }
}

void trap_step_finish(trap_engine *e) {
    if (!e->step.active) return;
    e->step.active = false;
    const vm_layout *lay = e->v.lay;
    uintptr_t *fixed = e->v.dispatch + lay->static_at;
    size_t some = lay->static_len * sizeof(uintptr_t);
    if (trap_mode(e) == e->step.mode && slots_are(e, e->step.rearm) && memcmp(fixed, e->step.rearm_fixed, some) == 0) {
        store_slots(e, e->step.slots);
        memcpy(fixed, e->step.fixed, some);
    } else {
        give_slots_back(e);
    }
    if (e->step.hookmask_off != 0) e->v.g[e->v.lay->g_hookmask] = (char)(trap_hookmask(e) | e->step.hookmask_off);
    trap_proto *p = e->step.proto;
    if (p == NULL) return;
    trap_reread(e, p);
    trap_insert(e, p);
}

static void step_begin(trap_engine *e, lua_State *L, trap_proto *p) {
    uintptr_t *fixed = e->v.dispatch + e->v.lay->static_at;
    size_t some = e->v.lay->static_len * sizeof(uintptr_t);
    if (p != NULL) {
        if (e->step_anchor != p->pt && trap_have_stack(e, L, 8)) trap_anchor(e, L, p->pt);
        trap_extract(e, p);
    }
    e->step.proto = p;
    e->step.again = NULL;
    e->step.hookmask_off = 0;
    e->step.mode = trap_mode(e);
    load_slots(e->step.slots, e);
    memcpy(e->step.fixed, fixed, some);
    memcpy(fixed, e->step.rearm_fixed, some);
    store_slots(e, e->step.rearm);
    e->step.active = true;
}

/* `hooked`: LuaJIT's own hooks were run for the instruction to come. */
static uintptr_t rearm(trap_regs *r, bool hooked) {
    trap_engine *e = trap_vms_find(r->vm);
    /* vm_x64.dasc, vmeta_for: strings have become numbers, and the same instruction comes again. */
    bool again = hooked && e->step.active && e->step.again == r->pc;
    trap_step_finish(e);
    if (again) return e->v.lay->handler[r->op];
    if (e->ret.L != NULL) { /* past the return, not in its hook: the frame is gone */
        lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
        ptrdiff_t base = r->base - (char *)vm_ptr(L, VM_L_STACK);
        bool there = L == e->ret.L && base == e->ret.base && r->pc == e->ret.pc;
        if (!there && (L != e->ret.L || base <= e->ret.base)) e->ret.L = NULL;
    }
    /* The instruction to come was fetched while the traps were out. */
    if (r->op < e->v.lay->static_len && trap_is_trap(e, VM_INS_OP(r->pc[-1]))) r->op = VM_INS_OP(r->pc[-1]);
    return e->v.dispatch[hooked && r->op < e->v.lay->static_len ? e->v.lay->static_at + r->op : r->op];
}

uintptr_t trap_rearm(trap_regs *r) {
    return rearm(r, false);
}

/* From the static half: vm_inshook, vm_rethook and their like go on there. A hook in C runs no instruction by which the
 * step would have ended before. */
uintptr_t trap_rearm_fixed(trap_regs *r) {
    return rearm(r, true);
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
    if (op == VM_FORI) {
        const uint64_t *range = slot + VM_INS_A(ins);
        return !vm_is_double(range[0]) || !vm_is_double(range[1]) || !vm_is_double(range[2]);
    }
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
    return (trap_hookmask(e) & (LUA_MASKRET | VM_HOOK_ACTIVE)) == LUA_MASKRET && is_return(e->v.lay, op);
}

/* `p` is NULL where the hook was removed by its own filter: no trap is there the second time. */
static uintptr_t return_begin(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    e->ret.L = p != NULL ? L : NULL;
    e->ret.pc = r->pc;
    step_begin(e, L, p != NULL ? p->proto : NULL);
    e->ret.base = vm_base(L) - (char *)vm_ptr(L, VM_L_STACK);
    e->step.hookmask_off = trap_hookmask(e) & (LUA_MASKLINE | LUA_MASKCOUNT);
    e->v.g[e->v.lay->g_hookmask] = (char)(trap_hookmask(e) & ~e->step.hookmask_off);
    return e->v.lay->rethook;
}

/* ---- What filters ask ---------------------------------------------------------------------------------------------- */

static uint64_t site_of(const trap_place *p) {
    return (uint64_t)p->proto->serial << 32 | (uint64_t)(p->at - vm_proto_code(p->proto->pt));
}

/* lj_debug.c, debug_localname: the n-th active local is in the n-th slot. */
bool trap_push_locals(engine *base, lua_State *L, int first, int n) {
    const trap_engine *e = (const trap_engine *)(const void *)base;
    if (L != e->hit_L) return false;
    vm_push_slots(L, (const char *)vm_ptr(L, VM_L_STACK) + e->hit_base + (ptrdiff_t)8 * (first - 1), n);
    return true;
}

void trap_push_returns(engine *base, lua_State *L, int first, int n) {
    const trap_engine *e = (const trap_engine *)(const void *)base;
    const char *slot = (const char *)vm_ptr(e->hit_L, VM_L_STACK) + e->hit_base + (ptrdiff_t)8 * e->leaving_slot;
    vm_push_slots(L, slot + (ptrdiff_t)8 * (first - 1), n);
}

/* ---- Traps ------------------------------------------------------------------------------------------------------ */

void trap_keep_off(trap_engine *e, lua_State *L, trap_proto *p) {
    const vm_layout *lay = e->v.lay;
    if (!lay->has_jit || (vm_u8(p->pt, VM_PT_FLAGS) & lay->flag_nojit) != 0) return;
    ((uint8_t *)p->pt)[VM_PT_FLAGS] |= lay->flag_nojit;
    p->was_nojit = false;
    p->n_old_iloops = 0;
    trap_abort_recording(e, L);
}

/* What is returned at the place, by a call that began at `began` and took until `now` (lj_bc.h: operands of returns). */
static void note_return(trap_engine *e, const trap_regs *r, const trap_place *p, uint64_t began, uint64_t now) {
    vm_ins ins = *p->return_at;
    int fixed = (int)VM_INS_D(ins);
    e->leaving = (engine_return){.tail_call = p->leaves == VM_CALLT || p->leaves == VM_CALLMT,
                                 .timed = began != 0,
                                 .ticks = ticks_between(began, now)};
    if (p->leaves == VM_RETM) e->leaving.n = fixed + (int)vm_cframe_results(r->frame);
    if (p->leaves == VM_RET || p->leaves == VM_RET1) e->leaving.n = fixed - 1;
    e->leaving_slot = VM_INS_A(ins);
}

/* Report a hit of the place, and look it up again: hooks may have come and gone, the stack may have moved. False where
 * the engine was closed meanwhile. */
static inline bool report(trap_engine *e, lua_State *L, const trap_regs *r, trap_place **p, int line) {
    trap_callout c = {.line = line};
    uint64_t before = e->changes;
    c.source = vm_proto_source((*p)->proto->pt, &c.source_len);
    e->base.site = site_of(*p);
    e->base.function = (const void *)(uintptr_t)(vm_u64(vm_base(L), -16) & VM_ADDRESS_MASK);
    e->hit_L = L;
    e->hit_base = vm_base(L) - (char *)vm_ptr(L, VM_L_STACK);
    trap_call_out(e, L, &c);
    e->hit_L = NULL;
    e->base.site = 0;
    e->base.function = NULL;
    if (e->closed) return false;
    trap_step_finish(e);
    if (e->changes != before) *p = trap_find_place(e, r->pc - 1); /* its function runs, so it is no freed one's */
    return true;
}

/* Report what happens at the place. False as above; *p may become NULL. */
static bool report_all(trap_engine *e, lua_State *L, trap_regs *r, trap_place **p) {
    uint64_t now = 0, began = 0;
    bool leaves = (*p)->leaves != 0, arrives;
    if ((*p)->proto->clock != 0) trap_calls_pass(e, L, r, *p);
    if (leaves) {
        now = ticks_now();
        began = trap_calls_end(e, L, r, *p);
    }
    arrives = trap_arrives(e, L, r, *p);
    if (e->in_hit || !(arrives || leaves) || !have_filter_stack(e, L)) return true;
    if (arrives && !report(e, L, r, p, (*p)->line)) return false;
    if (!leaves || *p == NULL || (*p)->leaves == 0) return true;
    int line = vm_proto_line((*p)->proto->pt, 1);
    note_return(e, r, *p, began, now);
    e->base.leaving = &e->leaving;
    bool open = report(e, L, r, p, HOOKS_RETURN | line);
    e->base.leaving = NULL;
    return open;
}

uintptr_t trap_enter(trap_regs *r) {
    int saved_errno = errno;
    trap_engine *e = trap_vms_find(r->vm);
    const vm_layout *lay = e->v.lay; /* a VM whose slots lead here has an engine */
    lua_State *L = (lua_State *)r->frame[VM_CFRAME_L];
    trap_step_finish(e);
    trap_place *p = current_place(e, L, r); /* may move the stack */
    uint8_t op = p != NULL ? p->opcode : VM_INS_OP(r->pc[-1]);
    uintptr_t go_on = 0;
    if (p != NULL && !second_time(e, L, r)) {
        trap_keep_off(e, L, p->proto);
        if (!report_all(e, L, r, &p)) {
            free(e);
            r->base = vm_base(L);
            trap_decode(r, VM_INS_OP(r->pc[-1]));
            errno = saved_errno;
            return lay->handler[r->op];
        }
        op = p != NULL ? p->opcode : VM_INS_OP(r->pc[-1]);
        r->base = vm_base(L);
        /* A hit is a safepoint: the change is taken before the next instruction. */
        if (!e->in_hit && e->base.host.change_waiting(e->base.host.owner)) trap_pause(e);
        if (p != NULL && p->how == TRAP_STEP && reads_itself(lay, r, p)) {
            step_begin(e, L, p->proto);
            if (lay->name[op] == VM_FORI) e->step.again = r->pc;
        } else if (wants_return(e, op)) {
            go_on = return_begin(e, L, r, p);
        }
        r->base = vm_base(L);
    }
    trap_decode(r, op);
    errno = saved_errno;
    return go_on != 0 ? go_on : lay->handler[op];
}
