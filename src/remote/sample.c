#include "sample.h"

#include <errno.h>
#include <stdlib.h>

#include "ahead.h"
#include "cpu.h"

/* A thread stands for STAND_MS at most, and a little for each frame that was asked for: ten times and more of what it
 * takes. */
enum { TRIES = 3, RUNS = 10, RUN_ON_US = 7, STAND_MS = 250, FRAMES_A_MS = 10, READ_MS = 5000 };

void remote_free_sample(remote_sample *s) {
    for (size_t i = 0; i < REMOTE_STACKS_MAX; i++) remote_free_frames(&s->stack[i].frames);
    *s = (remote_sample){0};
}

/* ---- Which thread of the process ---- */

/* The thread on whose C stack the interpreter's frame lies. One that runs must be stopped to see where its stack is. */
static pid_t find_thread(target *t, const remote_vm *vm, pid_t last, bool may_stop, bool *denied) {
    pid_t ids[REMOTE_THREADS_MAX];
    remote_state state;
    remote_thread th;
    size_t n = target_threads(t, ids, REMOTE_THREADS_MAX);
    if (n == 1) return ids[0];
    if (!remote_read_state(t, vm, &state)) return 0;
    bool found = state.current != 0 && remote_read_thread(t, vm, state.current, &th);
    if ((!found || th.cframe == 0) && !remote_read_thread(t, vm, vm->main, &th)) return 0;
    const target_map *stack = th.cframe != 0 ? target_map_at(t, th.cframe) : NULL;
    if (stack == NULL) return last;
    for (int stopping = 0; stopping < (may_stop ? 2 : 1); stopping++) {
        for (size_t i = 0; i < n; i++) {
            uint64_t sp, ip;
            target_regs regs;
            if (target_thread(t, ids[i], &sp, &ip) == THREAD_RUNS && stopping == 0) continue;
            if (sp == 0 && stopping == 1) {
                if (target_stop(t, ids[i], &regs)) {
                    sp = regs.sp;
                    target_resume(t);
                } else if (errno == EPERM) { /* and not one that has just ended */
                    *denied = true;
                }
            }
            if (sp >= stack->start && sp < stack->end) return ids[i];
        }
    }
    return 0;
}

/* ---- Who resumed a coroutine ---- */

static bool runs_at(target *t, const remote_vm *vm, uint64_t cframe, uint64_t address, remote_thread *th) {
    return remote_read_thread(t, vm, address, th) && th->cframe == cframe;
}

/* A coroutine's C frame lies below that of its resumer on the C stack: right below it for coroutine.resume and wrap,
 * somewhere below for lua_resume() called by a C function. */
static bool find_resumer(target *t, const remote_vm *vm, const remote_thread *co, remote_thread *resumer) {
    enum { LOOK = 4096 };
    const remote_cpu *cpu = remote_cpu_of(t);
    uint64_t word, next = co->cframe + REMOTE_WORD * cpu->cframe_size;
    if (co->address == vm->main || co->cframe == 0) return false;
    if (target_u64(t, next + REMOTE_WORD * cpu->cframe_l, &word) && runs_at(t, vm, next, word, resumer)) return true;
    const target_map *heap = target_map_at(t, vm->main), *other = target_map_at(t, co->address);
    for (uint64_t at = next; (at = target_shown_from(t, at)) < next + REMOTE_WORD * LOOK; at += 8) {
        if (!target_u64(t, at + REMOTE_WORD * cpu->cframe_l, &word)) return false;
        if (word % 8 != 0 || word == co->address) continue;
        bool near = (heap != NULL && word >= heap->start && word < heap->end) ||
                    (other != NULL && word >= other->start && word < other->end);
        if (near && runs_at(t, vm, at, word, resumer)) return true;
    }
    return false;
}

/* ---- Stacks ---- */

sample_result remote_sample_thread(target *t, const remote_vm *vm, const remote_thread *thread, size_t max_frames,
                                   remote_stack *stack) {
    remote_where_suspended(thread, &stack->where);
    remote_result r = remote_walk(t, vm, &stack->where, max_frames, &stack->frames);
    return r == REMOTE_OK ? SAMPLE_OK : r == REMOTE_NO_MEMORY ? SAMPLE_NO_MEMORY : SAMPLE_INCONSISTENT;
}

/* What a broken snapshot may leave: the frames below the trace still stand in memory. */
static remote_result walk_top(target *t, const remote_vm *vm, size_t max_frames, remote_stack *stack) {
    remote_where *w = &stack->where;
    remote_result r = remote_walk(t, vm, w, max_frames, &stack->frames);
    if (r != REMOTE_BROKEN || !w->compiled || w->pc == 0) return r;
    w->base = w->trace_base;
    w->pc = 0;
    w->pc_is_exact = w->pc_is_near = false;
    for (size_t i = 0; i < REMOTE_OVERLAY; i++) w->has[i] = false;
    return remote_walk(t, vm, w, max_frames, &stack->frames);
}

static sample_result walk_all(target *t, const remote_vm *vm, const sample_options *o, remote_sample *s) {
    s->n = 1;
    remote_result r = walk_top(t, vm, o->max_frames, &s->stack[0]);
    for (remote_thread below; r == REMOTE_OK && s->n < REMOTE_STACKS_MAX; s->n++) {
        if (!find_resumer(t, vm, &s->stack[s->n - 1].where.thread, &below)) break;
        sample_result one = remote_sample_thread(t, vm, &below, o->max_frames, &s->stack[s->n]);
        if (one != SAMPLE_OK) return one;
    }
    if (r == REMOTE_NO_MEMORY) return SAMPLE_NO_MEMORY;
    if (r != REMOTE_OK) return SAMPLE_INCONSISTENT;
    if (o->look != NULL) o->look(t, vm, s, o->arg);
    return target_late(t) ? SAMPLE_INCONSISTENT : SAMPLE_OK;
}

static sample_result without_thread(where_result r) {
    return r == WHERE_IDLE ? SAMPLE_IDLE : SAMPLE_INCONSISTENT;
}

static bool is_good(where_result w, const remote_sample *s) {
    return w == WHERE_OK || (w == WHERE_UNKNOWN && s->stack[0].where.compiled);
}

/* ---- A thread that sleeps ---- */

static sample_result sample_asleep(target *t, remote_vm *vm, const sample_options *o, remote_sample *s, uint64_t sp) {
    uint64_t before, after, now;
    target_regs regs = {.ip = s->ip, .sp = sp};
    target_forget(t);
    target_limit(t, READ_MS);
    if (!target_thread_runs(t, s->thread, &before)) return SAMPLE_GONE;
    where_result w = remote_where_now(t, vm, &regs, &s->stack[0].where);
    sample_result r = is_good(w, s) ? walk_all(t, vm, o, s) : without_thread(w);
    target_limit(t, 0);
    if (!target_thread_runs(t, s->thread, &after)) return SAMPLE_GONE;
    thread_state state = target_thread(t, s->thread, &now, &regs.ip);
    bool still = (state == THREAD_BLOCKS || state == THREAD_STOPPED) && now == sp && before == after;
    return still ? r : r == SAMPLE_NO_MEMORY ? r : SAMPLE_INCONSISTENT;
}

/* ---- A thread that runs ---- */

static sample_result sample_stopped(target *t, remote_vm *vm, const sample_options *o, remote_sample *s) {
    target_regs regs;
    if (!target_stop(t, s->thread, &regs))
        return errno == EPERM ? SAMPLE_DENIED : errno == ESRCH ? SAMPLE_GONE : SAMPLE_INCONSISTENT;
    target_forget(t);
    target_limit(t, target_is_core(t) ? READ_MS : STAND_MS + (unsigned)o->max_frames / FRAMES_A_MS);
    where_result w = remote_where_now(t, vm, &regs, &s->stack[0].where);
    bool lost = false;
    /* Longer each time: on a busy machine it may not have come to run at all. */
    s->tries = 0;
    for (unsigned us = RUN_ON_US; !lost && (w == WHERE_MOVING || w == WHERE_UNKNOWN) && s->tries < RUNS; us += us / 2) {
        s->tries++;
        lost = !target_run_on(t, us, &regs);
        if (!lost) w = remote_where_now(t, vm, &regs, &s->stack[0].where);
    }
    s->ip = regs.ip;
    sample_result r = lost || !is_good(w, s) ? without_thread(lost ? WHERE_BROKEN : w) : walk_all(t, vm, o, s);
    target_resume(t);
    target_limit(t, 0);
    s->stopped_ns = target_is_core(t) ? 0 : target_stopped_ns(t);
    return r;
}

/* ---- A still ---- */

/* The mapping that a thread's stack is in; the thread may have been started since the list of mappings was read. One that
 * has ended since leaves no mapping. */
static void find_c_stack(target *t, remote_still *still) {
    enum { NEAR = 1 << 20 };
    const target_map *m = target_map_at(t, still->sp);
    if (m == NULL && target_remap(t)) m = target_map_at(t, still->sp);
    still->c_stack = m != NULL ? m->start : still->sp;
    still->c_stack_end = m != NULL ? m->end : still->sp < UINT64_MAX - NEAR ? still->sp + NEAR : UINT64_MAX;
}

sample_result remote_sample_still(target *t, remote_vm *vm, remote_still *still, const sample_options *o,
                                  remote_sample *s) {
    target_regs regs;
    remote_where *where = &s->stack[0].where;
    remote_still_regs(still, &regs);
    s->n = 0;
    s->stopped_ns = 0;
    s->thread = still->thread;
    s->ip = regs.ip;
    s->on_cpu = true;
    find_c_stack(t, still);
    target_show(t, still);
    target_limit(t, STAND_MS);
    where_result w = remote_where_now(t, vm, &regs, where);
    for (int i = 0; (w == WHERE_MOVING || w == WHERE_UNKNOWN) && i < RUNS && remote_ahead(t, vm, still); i++) {
        remote_still_regs(still, &regs);
        w = remote_where_now(t, vm, &regs, where);
    }
    if (where->thread.cframe >= still->c_stack_end) w = WHERE_IDLE; /* another thread runs it */
    sample_result r = is_good(w, s) ? walk_all(t, vm, o, s) : without_thread(w);
    target_limit(t, 0);
    target_show(t, NULL);
    return r;
}

sample_result remote_sample_vm(target *t, remote_vm *vm, const sample_options *o, remote_sample *s) {
    bool denied = false;
    uint64_t sp;
    s->n = 0;
    s->stopped_ns = 0;
    if (!target_lives(t)) return SAMPLE_GONE;
    target_forget(t);
    pid_t thread = find_thread(t, vm, s->thread, !o->only_waiting, &denied);
    s->thread = thread;
    if (thread == 0) {
        where_result w = remote_where_now(t, vm, NULL, &s->stack[0].where);
        if (o->only_waiting && w != WHERE_IDLE) return SAMPLE_ON_CPU;
        return denied ? SAMPLE_DENIED : without_thread(w);
    }
    for (int i = 0; i < TRIES; i++) {
        thread_state state = target_thread(t, thread, &sp, &s->ip);
        s->on_cpu = state == THREAD_RUNS;
        if (state == THREAD_GONE) return SAMPLE_GONE;
        if (o->only_on_cpu && !s->on_cpu) return SAMPLE_OFF_CPU;
        if (o->only_waiting && s->on_cpu) return SAMPLE_ON_CPU;
        bool core = target_is_core(t);
        sample_result r = s->on_cpu || core ? sample_stopped(t, vm, o, s) : sample_asleep(t, vm, o, s, sp);
        if (r == SAMPLE_OK || r == SAMPLE_IDLE || r == SAMPLE_NO_MEMORY || r == SAMPLE_GONE || core) return r;
        if (r == SAMPLE_DENIED || i + 1 == TRIES) return r;
    }
    return SAMPLE_INCONSISTENT;
}
