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
 * Registers are believed only if they agree with each other: PC lies in the code of the function at BASE, and KBASE and
 * DISPATCH are that function's and this VM's. During a call or a return they do not, unless a function calls itself; then
 * the beginning of an instruction is waited for, where they are exact by definition.
 * vm_x64.dasc has all of this; tried on Debian's and OpenResty's builds and on LuaJIT of 2026.
 */
#include "where.h"

#include <string.h>

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

/* A branch has changed PC, and the instruction there is not dispatched yet: what stands before PC did not run. From the
 * code before `ip`: lea rbx, [rbx+reg*4-0x20000] without an add rbx, 4 after it. */
static bool just_branched(target *t, uint64_t ip) {
    enum { LOOK = 24, LEA = 8, ADD = 4 };
    uint8_t code[LOOK];
    if (!target_read(t, ip - LOOK, code, sizeof code)) return true;
    for (int i = LOOK - LEA; i >= 0; i--) {
        const uint8_t *c = code + i;
        if (memcmp(c, "\x48\x83\xc3\x04", ADD) == 0) return false;
        if ((c[0] & 0xf8) == 0x48 && c[1] == 0x8d && c[2] == 0x9c && memcmp(c + 4, "\0\0\xfe\xff", 4) == 0) {
            for (int k = i + LEA; k + ADD <= LOOK; k++)
                if (memcmp(code + k, "\x48\x83\xc3\x04", ADD) == 0) return false;
            return true;
        }
    }
    return false;
}

/* On the way into compiled code: the handler of JLOOP, to which loops jump. PC may stand at the loop's own instruction. */
static bool enters_trace(target *t, const remote_vm *vm, uint64_t ip) {
    enum { LENGTH = 96 };
    uint64_t handler;
    for (unsigned op = 0; op < vm->n_ops; op++) {
        if (remote_op(vm, op) != VM_JLOOP) continue;
        if (!target_u64(t, vm->dispatch + 8 * ((uint64_t)vm->n_dynamic + op), &handler)) return true;
        return ip >= handler && ip < handler + LENGTH;
    }
    return true;
}

/* Whether `base` and the other registers agree. */
static where_result agree(target *t, const remote_vm *vm, const target_regs *r, uint64_t base, remote_where *w) {
    uint64_t link, value;
    remote_func f, caller;
    if (r->dispatch != vm->dispatch || vm->dispatch == 0) return WHERE_MOVING;
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
    bool settled = r->kbase == f.constants && !just_branched(t, r->ip) && !enters_trace(t, vm, r->ip);
    if (settled && !changes_frame(t, vm, r->pc, link)) return WHERE_OK;
    if (begins_instruction(t, vm, r->ip)) return WHERE_OK;
    if (!settled) return WHERE_MOVING;
    bool again = caller_of(t, vm, base, link, &caller) && caller.is_lua && caller.proto == f.proto;
    return again ? WHERE_MOVING : WHERE_OK;
}

/* ---- Helpers in C ---- */

typedef enum called { CALLED_STORED, CALLED_KEPT, CALLED_UNKNOWN } called;

/* Whether the interpreter stored PC before the call that returns to `ip`: mov [rsp+24], rbx. The hook of instructions does
 * not, what it calls does it. */
static bool stored_pc(target *t, const remote_vm *vm, uint64_t ip) {
    enum { LOOK = 64, HOOK_LENGTH = 160 };
    uint8_t code[LOOK];
    uint64_t hook, handler;
    if (!target_read(t, ip - LOOK, code, sizeof code)) return false;
    if (memmem(code, sizeof code, "\x48\x89\x5c\x24\x18", 5) != NULL) return true;
    return target_u64(t, vm->dispatch, &hook) && target_u64(t, vm->dispatch + 8 * (uint64_t)vm->n_dynamic, &handler) &&
           hook != handler && ip >= hook && ip < hook + HOOK_LENGTH;
}

/* What the interpreter does when a call returns: mov rdx, [reg+L.base], or mov rdx, rbp. Taken from the code behind the
 * call, a short jump there followed. */
static called after_call(target *t, const remote_vm *vm, uint64_t ip) {
    enum { LOOK = 40, RDX = 2, RBP = 5 };
    uint8_t code[LOOK];
    uint64_t handler;
    const target_map *ours = NULL, *m = target_map_at(t, ip);
    if (vm->dispatch != 0 && target_u64(t, vm->dispatch, &handler)) ours = target_map_at(t, handler);
    if (m == NULL || m != ours) return CALLED_UNKNOWN;
    for (int jumps = 0; jumps < 2; jumps++) {
        if (!target_read(t, ip, code, sizeof code)) return CALLED_UNKNOWN;
        if (code[0] == 0xeb) {
            ip += 2 + (uint64_t)(int64_t)(int8_t)code[1];
        } else if (code[0] == 0xe9) {
            ip += 5 + (uint64_t)(int64_t)vm_i32(code, 1);
        } else {
            break;
        }
    }
    for (unsigned i = 0; i + 4 <= LOOK; i++) {
        if ((code[i] & 0xfe) == 0x48 && code[i + 1] == 0x8b && (code[i + 2] & 0xf8) == (0x40 | RDX << 3) &&
            (code[i + 2] & 7) != 4 && code[i + 3] == VM_L_BASE)
            return CALLED_STORED;
        if (code[i] == 0x48 && ((code[i + 1] == 0x89 && code[i + 2] == (0xc0 | RBP << 3 | RDX)) ||
                                (code[i + 1] == 0x8b && code[i + 2] == (0xc0 | RDX << 3 | RBP))))
            return CALLED_KEPT;
    }
    return CALLED_UNKNOWN;
}

/* ---- States ---- */

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
    if (th->cframe == 0 || !target_u64(t, th->cframe + REMOTE_WORD * VM_CFRAME_PC, &pc)) return WHERE_BROKEN;
    if (pc < f.header || pc > f.header + 4 * (uint64_t)f.n_ins) return WHERE_BROKEN;
    w->pc = pc;
    return WHERE_OK;
}

static where_result interpreting(target *t, const remote_vm *vm, const target_regs *r, remote_where *w) {
    uint64_t cframe = w->thread.cframe, word;
    if (cframe == 0 || !target_u64(t, cframe + REMOTE_WORD * VM_CFRAME_L, &word) || word != w->thread.address)
        return WHERE_MOVING;
    if (r == NULL || r->sp == 0) return WHERE_UNKNOWN;
    if (r->sp == cframe) return agree(t, vm, r, r->base, w);
    if (r->sp > cframe || !target_u64(t, cframe - 8, &word)) return WHERE_MOVING;
    /* In compiled code, entered or left this very moment: there is no file. */
    const target_map *m = target_map_at(t, r->ip);
    if (m == NULL || m->path[0] == '\0') return WHERE_MOVING;
    switch (after_call(t, vm, word)) {
    case CALLED_STORED:
        if (!stored_pc(t, vm, word)) return WHERE_UNKNOWN;
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

static where_result compiled(target *t, remote_vm *vm, const target_regs *r, const remote_state *s, remote_where *w) {
    remote_trace trace;
    const remote_thread *th = &w->thread;
    uint64_t ip;
    if (s->jit_base < th->stack + 16 || s->jit_base >= th->stack_end || s->jit_base % 8 != 0) return WHERE_MOVING;
    w->compiled = true;
    w->base = w->trace_base = s->jit_base;
    w->pc = 0;
    if (s->vmstate <= 0) return WHERE_OK; /* the collector, called by a trace */
    w->trace = (unsigned)s->vmstate;
    if (r == NULL || !remote_read_trace(t, vm, w->trace, &trace)) return WHERE_OK;
    if (remote_in_trace(t, vm, &trace, r->ip, w)) return WHERE_OK;
    /* A C function called by the trace: the return address lies below what compiled code took from the C stack, two words
     * (lj_frame.h: CFRAME_SIZE_JIT) and what the trace needs. */
    const target_map *m = target_map_at(t, r->ip);
    uint64_t bottom = th->cframe - 16 - trace.stack_adjust;
    if (m != NULL && m->path[0] != '\0' && r->sp < bottom && target_u64(t, bottom - 8, &ip))
        remote_in_trace(t, vm, &trace, ip - 1, w);
    return w->pc != 0 ? WHERE_OK : WHERE_UNKNOWN; /* it may be on its way out */
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
    if (s.vmstate == ~VM_STATE_INTERP) return interpreting(t, vm, r, w);
    if (s.vmstate == ~VM_STATE_GC && s.jit_base != 0) return compiled(t, vm, r, &s, w);
    if (s.vmstate == ~VM_STATE_EXIT) return WHERE_UNKNOWN; /* the stack is being restored from a snapshot */
    /* On the way out of a function that C called, or into one. */
    if (s.vmstate == ~VM_STATE_C && r != NULL && r->sp == w->thread.cframe && r->dispatch == vm->dispatch)
        return WHERE_MOVING;
    return stored(t, vm, w);
}
