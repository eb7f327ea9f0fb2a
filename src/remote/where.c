/*
 * The interpreter keeps its frame and its PC in registers and stores them (L->base, the PC of its C frame) only where it
 * calls something that needs them. So memory alone tells where it stands in some states only:
 *
 *   VM state       the topmost frame        its PC
 *   C function     L->base                  has none
 *   GC, compiler   L->base                  stored in the C frame
 *   interpreter    register BASE            register PC, if its own code runs; if it has called a helper in C, what comes
 *                                           behind the call tells whether it stored both before: it loads BASE again
 *   trace          jit_base and snapshots   snapshots
 *
 * On arm64 functions in C keep the interpreter's registers, or save them: there these are had back, where the way from the
 * helper up to the interpreter can be found.
 *
 * Registers are believed only if they agree with each other: PC lies in the code of the function at BASE, and KBASE and
 * DISPATCH are that function's and this VM's. During a call or a return they do not, unless a function calls itself; then
 * the beginning of an instruction is waited for, where they are exact by definition.
 * vm_x64.dasc and vm_arm64.dasc have all of this; tried on Debian's and OpenResty's builds and on LuaJIT of 2026.
 */
#include "where.h"

#include <string.h>

#include "cpu.h"

where_result remote_where_suspended(const remote_thread *thread, remote_where *w) {
    memset(w, 0, sizeof *w);
    w->thread = *thread;
    w->base = thread->base;
    w->vmstate = ~VM_STATE_C;
    return WHERE_OK;
}

/* ---- Registers ---- */

/* The interpreter dispatches each instruction through the table: its slots are where instructions begin, and there all
 * registers are exact. */
static bool begins_instruction(target *t, const remote_vm *vm, uint64_t ip) {
    for (unsigned i = 0; i < vm->n_dispatch; i++) {
        uint64_t handler;
        if (!target_u64(t, vm->dispatch + 8 * (uint64_t)i, &handler)) return false;
        if (handler == ip) return true;
    }
    return false;
}

/* The function in the frame below, arguments of vararg functions skipped; false where it was not called by Lua code. */
static bool caller_of(target *t, const remote_vm *vm, uint64_t base, uint64_t link, remote_func *f) {
    vm_ins call;
    uint64_t value;
    if ((link & VM_FRAME_TYPEP) == VM_FRAME_VARG) {
        base -= link & ~(uint64_t)VM_FRAME_TYPEP;
        if (!target_u64(t, base - 8, &link)) return false;
    }
    if ((link & VM_FRAME_TYPE) != VM_FRAME_LUA || !target_read(t, link - 4, &call, sizeof call)) return false;
    base -= 8 * (2 + (uint64_t)VM_INS_A(call));
    return target_u64(t, base - 16, &value) && remote_read_func(t, vm, remote_object(value, VM_TYPE_FUNC), f);
}

/* Whether PC and BASE may be of different frames: PC is behind a call, which is on its way in or out, or a metamethod's
 * frame lies at BASE. */
static bool changes_frame(target *t, const remote_vm *vm, uint64_t pc, uint64_t link) {
    vm_ins ins;
    unsigned type = link & VM_FRAME_TYPEP;
    if ((link & VM_FRAME_TYPE) != VM_FRAME_LUA && type != VM_FRAME_VARG) return true;
    if (!target_read(t, pc - 4, &ins, sizeof ins)) return true;
    vm_op op = remote_op(vm, ins);
    return op == VM_OP_UNKNOWN || (op >= VM_CALLM && op <= VM_ITERN);
}

/* On the way into compiled code: the handler of JLOOP, to which loops jump. PC may stand at the loop's own instruction. */
static bool enters_trace(target *t, const remote_vm *vm, uint64_t ip) {
    uint64_t handler;
    for (unsigned op = 0; op < vm->n_ops; op++) {
        if (remote_op(vm, op) != VM_JLOOP) continue;
        if (!target_u64(t, vm->dispatch + 8 * ((uint64_t)vm->n_dynamic + op), &handler)) return true;
        return ip >= handler && ip < handler + remote_cpu_of(t)->jloop_length;
    }
    return true;
}

/* Whether `base` and the other registers agree. */
static where_result agree(target *t, const remote_vm *vm, const target_regs *r, uint64_t base, remote_where *w) {
    uint64_t link, value;
    remote_func f, caller;
    if (r->vm != remote_vm_register(t, vm) || vm->dispatch == 0) return WHERE_MOVING;
    if (base % 8 != 0 || base < w->thread.stack + 16 || base >= w->thread.stack_end) return WHERE_MOVING;
    if (!target_u64(t, base - 16, &value) || !target_u64(t, base - 8, &link)) return WHERE_MOVING;
    if (!remote_read_func(t, vm, remote_object(value, VM_TYPE_FUNC), &f)) return WHERE_MOVING;
    w->base = base;
    if (!f.is_lua) {
        /* Called by Lua code, PC is the return address until the function's header is dispatched, and again when it
         * returns. Until the link is written the two differ. */
        bool by_lua = (link & VM_FRAME_TYPE) == VM_FRAME_LUA;
        w->pc = 0;
        return r->pc == f.header + 4 || (by_lua && r->pc == link) ? WHERE_OK : WHERE_MOVING;
    }
    if (r->pc < f.header + 4 || r->pc > f.header + 4 * (uint64_t)f.n_ins || r->pc % 4 != 0) return WHERE_MOVING;
    w->pc = r->pc;
    bool settled = r->kbase == f.constants && !remote_cpu_of(t)->just_branched(t, r->ip) && !enters_trace(t, vm, r->ip);
    if (settled && !changes_frame(t, vm, r->pc, link)) return WHERE_OK;
    if (begins_instruction(t, vm, r->ip)) return WHERE_OK;
    if (!settled) return WHERE_MOVING;
    bool again = caller_of(t, vm, base, link, &caller) && caller.is_lua && caller.proto == f.proto;
    return again ? WHERE_MOVING : WHERE_OK;
}

/* ---- Helpers in C ---- */

/* Whether the interpreter stored PC before the call that returns to `ip`. The hook of instructions does not, what it calls
 * does it. */
static bool stored_pc(target *t, const remote_vm *vm, uint64_t ip) {
    enum { HOOK_LENGTH = 160 };
    uint64_t hook, handler;
    if (remote_cpu_of(t)->stored_pc(t, ip)) return true;
    return target_u64(t, vm->dispatch, &hook) && target_u64(t, vm->dispatch + 8 * (uint64_t)vm->n_dynamic, &handler) &&
           hook != handler && ip >= hook && ip < hook + HOOK_LENGTH;
}

/* What the interpreter does when a call returns to `ip`. */
static remote_called after_call(target *t, const remote_vm *vm, uint64_t ip) {
    uint64_t handler;
    const target_map *ours = NULL, *m = target_map_at(t, ip);
    if (vm->dispatch != 0 && target_u64(t, vm->dispatch, &handler)) ours = target_map_at(t, handler);
    if (m == NULL || m != ours) return CALLED_UNKNOWN;
    return remote_cpu_of(t)->after_call(t, ip);
}

/* From C up to what called it: the interpreter, or compiled code. False where that is not found. */
static bool find_caller(target *t, const remote_vm *vm, target_regs *r) {
    enum { FRAMES_MAX = 64 };
    for (int i = 0; i < FRAMES_MAX; i++) {
        if (remote_in_interpreter(vm, r->ip)) return true;
        const target_map *m = target_map_at(t, r->ip);
        if (m == NULL) return false;
        if (m->path[0] == '\0') return m->executable;
        if (!remote_cpu_of(t)->unwind(t, r, i > 0)) return false;
    }
    return false;
}

/* ---- States ---- */

/* What is called by lua_cpcall(), as the compiler is, has a frame on the C stack that belongs to no function. */
static bool is_in_between(target *t, uint64_t cframe) {
    unsigned char nres[4];
    return target_read(t, cframe + REMOTE_WORD * remote_cpu_of(t)->cframe_nres, nres, sizeof nres) &&
           vm_i32(nres, 0) < 0;
}

/* The PC that the interpreter stored in its frame. */
static bool read_stored_pc(target *t, const remote_thread *th, uint64_t *pc) {
    enum { BETWEEN_MAX = 16 };
    const remote_cpu *cpu = remote_cpu_of(t);
    uint64_t cframe = th->cframe;
    for (int i = 0; cframe != 0 && i < BETWEEN_MAX; i++) {
        uint64_t previous;
        if (!is_in_between(t, cframe)) return target_u64(t, cframe + REMOTE_WORD * cpu->cframe_pc, pc);
        if (!target_u64(t, cframe + REMOTE_WORD * cpu->cframe_prev, &previous)) return false;
        cframe = previous & ~UINT64_C(3);
    }
    return false;
}

/* L->base, and the PC of the C frame if a Lua function is there. */
static where_result stored(target *t, const remote_vm *vm, remote_where *w) {
    uint64_t value, pc;
    remote_func f;
    const remote_thread *th = &w->thread;
    w->base = th->base;
    w->pc = 0;
    if (w->base <= th->stack + 16) return WHERE_IDLE;
    if (!target_u64(t, w->base - 16, &value)) return WHERE_BROKEN;
    if (!remote_read_func(t, vm, remote_object(value, VM_TYPE_FUNC), &f)) return WHERE_BROKEN;
    if (!f.is_lua) return WHERE_OK;
    if (!read_stored_pc(t, th, &pc)) return WHERE_BROKEN;
    if (pc < f.header || pc > f.header + 4 * (uint64_t)f.n_ins) return WHERE_BROKEN;
    w->pc = pc;
    return WHERE_OK;
}

/* The interpreter has called something in C. */
static where_result in_helper(target *t, const remote_vm *vm, const target_regs *r, remote_where *w) {
    const remote_cpu *cpu = remote_cpu_of(t);
    uint64_t back;
    if (cpu->unwind != NULL) {
        target_regs caller = *r;
        if (!find_caller(t, vm, &caller) || caller.sp != w->thread.cframe) return WHERE_UNKNOWN;
        if (agree(t, vm, &caller, caller.base, w) == WHERE_OK) return WHERE_OK;
        if (after_call(t, vm, caller.ip) != CALLED_STORED || !stored_pc(t, vm, caller.ip)) return WHERE_UNKNOWN;
        return stored(t, vm, w);
    }
    if (!target_u64(t, w->thread.cframe - 8, &back)) return WHERE_MOVING;
    switch (after_call(t, vm, back)) {
    case CALLED_STORED:
        if (!stored_pc(t, vm, back)) return WHERE_UNKNOWN;
        return stored(t, vm, w);
    case CALLED_KEPT:
        if (agree(t, vm, r, r->rb, w) == WHERE_OK) return WHERE_OK;
        break;
    default:
        if (agree(t, vm, r, r->base, w) == WHERE_OK) return WHERE_OK;
        break;
    }
    return WHERE_UNKNOWN;
}

/* Whether the interpreter's own code runs in this frame of its. What it calls on arm64 may need no frame. */
static bool is_its_own(const target *t, const remote_vm *vm, const target_regs *r, uint64_t cframe) {
    return r->sp == cframe && (remote_cpu_of(t)->unwind == NULL || remote_in_interpreter(vm, r->ip));
}

static where_result interpreting(target *t, const remote_vm *vm, const target_regs *r, remote_where *w) {
    uint64_t cframe = w->thread.cframe, word;
    if (cframe == 0 || !target_u64(t, cframe + REMOTE_WORD * remote_cpu_of(t)->cframe_l, &word) ||
        word != w->thread.address)
        return WHERE_MOVING;
    if (r == NULL || r->sp == 0) return WHERE_UNKNOWN;
    if (is_its_own(t, vm, r, cframe)) return agree(t, vm, r, r->base, w);
    if (r->sp > cframe) return WHERE_MOVING;
    /* In compiled code, entered or left this very moment: there is no file. */
    const target_map *m = target_map_at(t, r->ip);
    if (m == NULL || m->path[0] == '\0') return WHERE_MOVING;
    return in_helper(t, vm, r, w);
}

/* Compiled code stores the number of its trace. Functions in C that it calls have their return address below what it took
 * from the C stack, two words (lj_frame.h: CFRAME_SIZE_JIT) and what the trace needs. */
static where_result in_numbered_trace(target *t, remote_vm *vm, const target_regs *r, unsigned number,
                                      remote_where *w) {
    remote_trace trace;
    uint64_t ip;
    w->trace = number;
    if (!remote_read_trace(t, vm, number, &trace) || remote_in_trace(t, vm, &trace, r->ip, w)) return WHERE_OK;
    const target_map *m = target_map_at(t, r->ip);
    uint64_t bottom = w->thread.cframe - 16 - trace.stack_adjust;
    if (m != NULL && m->path[0] != '\0' && r->sp < bottom && target_u64(t, bottom - 8, &ip))
        remote_in_trace(t, vm, &trace, ip - 1, w);
    return w->pc != 0 ? WHERE_OK : WHERE_UNKNOWN; /* it may be on its way out */
}

/* It does not (vm_arm64.dasc, BC_JLOOP): the code tells which it is. */
static where_result in_some_trace(target *t, remote_vm *vm, const target_regs *r, remote_where *w) {
    remote_trace trace;
    target_regs caller = *r;
    uint64_t ip = r->ip;
    const target_map *m = target_map_at(t, ip);
    bool called = m != NULL && m->path[0] != '\0';
    if (remote_in_interpreter(vm, ip)) return WHERE_UNKNOWN; /* it enters, or leaves */
    if (called) {
        if (!find_caller(t, vm, &caller) || remote_in_interpreter(vm, caller.ip)) return WHERE_UNKNOWN;
        ip = caller.ip - 1;
    }
    if (!remote_find_trace(t, vm, ip, &trace)) return WHERE_UNKNOWN;
    w->trace = trace.number;
    if (!called || caller.sp == w->thread.cframe - 16 - trace.stack_adjust) remote_in_trace(t, vm, &trace, ip, w);
    return w->pc != 0 ? WHERE_OK : WHERE_UNKNOWN;
}

static where_result compiled(target *t, remote_vm *vm, const target_regs *r, const remote_state *s, remote_where *w) {
    const remote_thread *th = &w->thread;
    if (s->jit_base < th->stack + 16 || s->jit_base >= th->stack_end || s->jit_base % 8 != 0) return WHERE_MOVING;
    w->compiled = true;
    w->base = w->trace_base = s->jit_base;
    w->pc = 0;
    const bool numbered = remote_cpu_of(t)->traces_tell;
    if (s->vmstate < (numbered ? 1 : 0) || r == NULL) return WHERE_OK; /* the collector, called by a trace */
    return numbered ? in_numbered_trace(t, vm, r, (unsigned)s->vmstate, w) : in_some_trace(t, vm, r, w);
}

where_result remote_where_now(target *t, remote_vm *vm, const target_regs *r, remote_where *w) {
    remote_state s;
    memset(w, 0, sizeof *w);
    if (!remote_read_state(t, vm, &s)) return WHERE_BROKEN;
    w->vmstate = s.vmstate;
    bool found = s.current != 0 && remote_read_thread(t, vm, s.current, &w->thread);
    /* A coroutine that has yielded to C stays the current one. What runs then may be the main thread. */
    if ((!found || w->thread.cframe == 0) && !remote_read_thread(t, vm, vm->main, &w->thread)) return WHERE_BROKEN;
    if (w->thread.cframe == 0) return WHERE_IDLE;
    if (s.vmstate >= 0) return compiled(t, vm, r, &s, w);
    /* While a trace is recorded the interpreter runs in between. */
    bool interprets = s.vmstate == ~VM_STATE_INTERP ||
                      (s.vmstate == ~VM_STATE_RECORD && r != NULL && !is_in_between(t, w->thread.cframe));
    if (interprets) return interpreting(t, vm, r, w);
    if (s.vmstate == ~VM_STATE_GC && s.jit_base != 0) return compiled(t, vm, r, &s, w);
    if (s.vmstate == ~VM_STATE_EXIT) return WHERE_UNKNOWN; /* the stack is being restored from a snapshot */
    /* On the way out of a function that C called, or into one. */
    if (s.vmstate == ~VM_STATE_C && r != NULL && is_its_own(t, vm, r, w->thread.cframe) &&
        r->vm == remote_vm_register(t, vm))
        return WHERE_MOVING;
    return stored(t, vm, w);
}
