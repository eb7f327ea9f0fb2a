#include "frames.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"

/*
 * A walk. `at` is the slot that links a frame to the one below: a return address into the bytecode of the caller, or a
 * distance with the frame's type; the slot below it holds the function.
 */
typedef struct walk {
    target *t;
    const remote_cpu *cpu;
    const remote_vm *vm;
    const remote_where *w;
    remote_frames *out;
    size_t limit;
    uint64_t at;
    uint64_t pc;    /* of the frame at `at`: behind the instruction; 0: not known */
    bool by_lua;    /* `pc` comes from a frame that was called by an instruction */
    bool pc_from_c; /* the frame above was called from C: the C frame has the PC */
    bool exact;     /* `pc` is not behind the instruction */
    bool near;      /* ... and may be another one's */
    bool pseudo;    /* the frame at `at` only keeps arguments: skip it */
    uint64_t above;
    uint64_t cframe;
    unsigned cframes;
} walk;

bool remote_slot(target *t, const remote_where *w, uint64_t address, uint64_t *value) {
    if (w->compiled && address >= w->trace_base - 16) {
        uint64_t n = (address - (w->trace_base - 16)) / 8;
        if (n < REMOTE_OVERLAY && w->has[n]) {
            *value = w->slot[n];
            return true;
        }
    }
    return target_u64(t, address, value);
}

/* ---- C frames ---- */

static bool next_cframe(walk *k) {
    uint64_t previous;
    enum { CFRAMES_MAX = 4096 };
    if (k->cframe == 0) return true;
    if (k->cframes++ > CFRAMES_MAX || !target_u64(k->t, k->cframe + REMOTE_WORD * k->cpu->cframe_prev, &previous))
        return false;
    previous &= ~UINT64_C(3);
    if (previous != 0 && previous <= k->cframe) return false;
    k->cframe = previous;
    return true;
}

/* C frames of lua_cpcall() and the like have no frame of their own, but a place in the stack where they end. */
static bool skip_cframes(walk *k) {
    while (k->cframe != 0) {
        unsigned char nres[4];
        if (!target_read(k->t, k->cframe + REMOTE_WORD * k->cpu->cframe_nres, nres, sizeof nres)) return false;
        int64_t n = vm_i32(nres, 0);
        if (n >= 0 || k->at >= k->w->thread.stack + (uint64_t)-n) return true;
        if (!next_cframe(k)) return false;
    }
    return true;
}

/* ---- Frames ---- */

static remote_frame *new_frame(walk *k) {
    remote_frames *out = k->out;
    if (out->n == out->max) {
        size_t more = out->max == 0 ? 32 : 2 * out->max;
        remote_frame *longer = realloc(out->list, more * sizeof *longer);
        if (longer == NULL) return NULL;
        out->list = longer;
        out->max = more;
    }
    remote_frame *f = &out->list[out->n++];
    memset(f, 0, sizeof *f);
    return f;
}

/* The instruction of a Lua function. A PC that is not in the function's code comes from a stack that contradicts itself,
 * but for one case: the return into a trace that has taken the instruction's place (lj_trace.c: trace_exit). */
static bool find_index(const walk *k, remote_frame *f) {
    uint64_t pc = k->pc;
    if (pc == 0 || !f->func.is_lua) return true;
    if (!k->exact) {
        if (pc == f->func.header) pc += 4; /* not begun: the first instruction */
        pc -= 4;
    }
    if (!remote_func_has(&f->func, pc)) return false;
    f->index = (uint32_t)((pc - f->func.header) / 4);
    f->known = !k->near;
    return true;
}

static remote_result add_frame(walk *k, uint64_t function) {
    remote_frame *f = new_frame(k);
    if (f == NULL) return REMOTE_NO_MEMORY;
    if (!remote_read_func(k->t, k->vm, function, &f->func)) return REMOTE_BROKEN;
    if (k->pc_from_c && f->func.is_lua) {
        uint64_t thread, pc;
        if (k->cframe != 0 && target_u64(k->t, k->cframe + REMOTE_WORD * k->cpu->cframe_l, &thread) &&
            target_u64(k->t, k->cframe + REMOTE_WORD * k->cpu->cframe_pc, &pc) && thread == k->w->thread.address &&
            pc != thread && pc != 0) {
            k->pc = pc;
            if (!remote_func_has(&f->func, k->pc) && k->pc != f->func.header + 4 * (uint64_t)f->func.n_ins) k->pc = 0;
        }
    }
    f->frame = k->at + 8;
    f->above = k->above;
    f->compiled = k->w->compiled && f->frame >= k->w->trace_base;
    if (!find_index(k, f)) return REMOTE_BROKEN;
    f->calls_above = k->by_lua && f->known;
    k->above = k->at - 8;
    return REMOTE_OK;
}

/* On to the frame below. */
static remote_result step_down(walk *k) {
    uint64_t link, below;
    vm_ins call;
    const remote_thread *th = &k->w->thread;
    if (!remote_slot(k->t, k->w, k->at, &link)) return REMOTE_BROKEN;
    unsigned type = link & VM_FRAME_TYPEP;
    k->pc = 0;
    k->exact = k->near = k->by_lua = k->pc_from_c = false;
    bool was_pseudo = k->pseudo;
    k->pseudo = false;
    if ((link & VM_FRAME_TYPE) == VM_FRAME_LUA) {
        if (link < 8 || !target_read(k->t, link - 4, &call, sizeof call)) return REMOTE_BROKEN;
        below = k->at - 8 * (2 + (uint64_t)VM_INS_A(call));
        k->pc = link;
        k->by_lua = true;
    } else {
        uint64_t delta = link & ~(uint64_t)VM_FRAME_TYPEP;
        if (delta == 0 || delta > th->stack_end - th->stack) return REMOTE_BROKEN;
        below = k->at - delta;
        if (type == VM_FRAME_VARG && !was_pseudo) {
            k->pseudo = true;
        } else if (type == VM_FRAME_CONT) {
            uint64_t continuation;
            enum { FFI_CALLBACK = 1 };
            if (!remote_slot(k->t, k->w, k->at - 16, &k->pc) || !remote_slot(k->t, k->w, k->at - 24, &continuation))
                return REMOTE_BROKEN;
            if (continuation == FFI_CALLBACK) {
                k->pc = 0;
                k->pc_from_c = true;
                if (!next_cframe(k)) return REMOTE_BROKEN;
            } else {
                k->by_lua = true;
            }
        } else {
            k->pc_from_c = true;
            if ((link & VM_FRAME_TYPE) == VM_FRAME_C && !next_cframe(k)) return REMOTE_BROKEN;
        }
    }
    if (below >= k->at) return REMOTE_BROKEN;
    k->at = below;
    return REMOTE_OK;
}

/* The lowest slots of a stack are a frame of its thread, which is none. */
remote_result remote_walk(target *t, const remote_vm *vm, const remote_where *w, size_t limit, remote_frames *out) {
    const remote_thread *th = &w->thread;
    walk k = {.t = t,
              .cpu = remote_cpu_of(t),
              .vm = vm,
              .w = w,
              .out = out,
              .limit = limit,
              .at = w->base - 8,
              .pc = w->pc,
              .exact = w->pc_is_exact,
              .near = w->pc_is_near,
              .above = th->top > w->base && !w->compiled ? th->top : 0,
              .cframe = th->cframe};
    const uint64_t bottom = th->stack + 8;
    out->n = 0;
    out->cut = false;
    if (w->base > th->stack_end + REMOTE_WORD * REMOTE_OVERLAY || w->base % 8 != 0) return REMOTE_BROKEN;
    for (size_t steps = 0; k.at > bottom; steps++) {
        uint64_t value;
        if (steps > REMOTE_FRAMES_MAX || !skip_cframes(&k)) return REMOTE_BROKEN;
        if (!remote_slot(t, w, k.at - 8, &value)) return REMOTE_BROKEN;
        uint64_t function = remote_object(value, VM_TYPE_FUNC);
        bool dummy = remote_object(value, VM_TYPE_THREAD) == th->address; /* lj_err.c: around errors of calls */
        if (!dummy && function == 0) return REMOTE_BROKEN;
        if (k.pseudo) {
            if (out->n > 0) out->list[out->n - 1].varargs = k.at + 8;
        } else if (!dummy) {
            if (out->n == limit) {
                out->cut = true;
                return REMOTE_OK;
            }
            remote_result r = add_frame(&k, function);
            if (r != REMOTE_OK) return r;
        }
        remote_result r = step_down(&k);
        if (r != REMOTE_OK) return r;
    }
    return k.at == bottom ? REMOTE_OK : REMOTE_BROKEN;
}

void remote_free_frames(remote_frames *frames) {
    free(frames->list);
    *frames = (remote_frames){0};
}
