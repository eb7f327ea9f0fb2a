#include "recorder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../remote/describe.h"

/* Each stack of a sample may have a frame that stands for what was cut off, and the sample two for its line and state. */
enum { DEPTH_MAX = 500, CACHE = 4096, STACK_MAX = (DEPTH_MAX + 1) * REMOTE_STACKS_MAX + 2 };

/* Functions that were seen before, under their prototypes' addresses: so that a thread stands no longer than it must. An
 * entry holds as long as the prototype is the same in all that names it. */
typedef struct known {
    uint64_t proto, chunkname, lineinfo, constants;
    uint32_t n_ins;
    int firstline, numline;
    uint32_t frame;
} known;

struct recorder {
    profile *p;
    recorder_counts counts;
    known cache[CACHE];
    uint32_t stack[STACK_MAX];
    size_t depth;
    bool failed;
};

recorder *recorder_new(profile *p) {
    recorder *r = calloc(1, sizeof *r);
    if (r != NULL) r->p = p;
    return r;
}

void recorder_free(recorder *r) {
    free(r);
}

const recorder_counts *recorder_count(const recorder *r) {
    return &r->counts;
}

/* ---- Frames ---- */

static uint32_t lua_frame(recorder *r, target *t, const remote_vm *vm, const remote_frames *frames, size_t i) {
    const remote_func *f = &frames->list[i].func;
    const known now = {.proto = f->proto,
                       .chunkname = vm_u64(f->head, VM_PT_CHUNKNAME),
                       .lineinfo = vm_u64(f->head, VM_PT_LINEINFO),
                       .constants = f->constants,
                       .n_ins = f->n_ins,
                       .firstline = f->firstline,
                       .numline = f->numline};
    known *k = &r->cache[f->proto / 8 % CACHE];
    bool same = k->proto == now.proto && k->chunkname == now.chunkname && k->lineinfo == now.lineinfo &&
                k->constants == now.constants && k->n_ins == now.n_ins && k->firstline == now.firstline &&
                k->numline == now.numline;
    if (same && r->p->frames[k->frame].name[0] != '\0') return k->frame;
    remote_text x;
    char where[REMOTE_SHORT_MAX + 16];
    remote_describe(t, vm, frames, i, &x);
    if (x.is_main) {
        snprintf(where, sizeof where, "%s", x.short_source);
    } else {
        snprintf(where, sizeof where, "%s:%d", x.short_source, x.linedefined);
    }
    const char *name = x.is_main ? "main" : x.name;
    uint32_t frame = profile_frame_id(r->p, FRAME_FUNCTION, where, name);
    if (frame == UINT32_MAX || !profile_name(r->p, frame, name)) return UINT32_MAX;
    *k = now;
    k->frame = frame;
    return frame;
}

/* A C function is known by the name it is called by, or by the file it is from. */
static uint32_t native_frame(recorder *r, target *t, const remote_vm *vm, const remote_frames *frames, size_t i) {
    remote_text x;
    char name[REMOTE_NAME_MAX];
    remote_describe(t, vm, frames, i, &x);
    if (x.name[0] != '\0') return profile_frame_id(r->p, FRAME_NATIVE, "", x.name);
    const target_map *m = target_map_at(t, x.c_address);
    if (x.builtin != 0) {
        snprintf(name, sizeof name, "builtin#%u", x.builtin);
    } else if (m != NULL && m->path[0] != '\0') {
        const char *slash = strrchr(m->path, '/');
        snprintf(name, sizeof name, "%.80s+0x%" PRIx64, slash != NULL ? slash + 1 : m->path,
                 x.c_address - m->start + m->offset);
    } else {
        snprintf(name, sizeof name, "0x%" PRIx64, x.c_address);
    }
    return profile_frame_id(r->p, FRAME_NATIVE, "", name);
}

static void push(recorder *r, uint32_t frame) {
    if (frame == UINT32_MAX || r->depth == STACK_MAX) {
        r->failed = r->failed || frame == UINT32_MAX;
        return;
    }
    r->stack[r->depth++] = frame;
}

/* The line that runs, and whether it is compiled. */
static void push_line(recorder *r, target *t, const remote_stack *s) {
    const remote_frame *f = &s->frames.list[0];
    char where[REMOTE_SHORT_MAX + 32], source[REMOTE_SOURCE_MAX], file[REMOTE_SHORT_MAX];
    int line = f->known ? remote_line(t, &f->func, f->index) : 0;
    if (!f->func.is_lua || line <= 0 || !remote_source(t, &f->func, source, sizeof source)) return;
    remote_short_source(source, f->func.firstline, file);
    snprintf(where, sizeof where, "%s:%d", file, line);
    push(r, profile_frame_id(r->p, FRAME_LINE, where, ""));
}

static void push_state(recorder *r, const remote_where *w) {
    const char *what = w->vmstate == ~VM_STATE_GC                                      ? "(garbage collector)"
                       : w->vmstate <= ~VM_STATE_RECORD && w->vmstate >= ~VM_STATE_ASM ? "(JIT compiler)"
                                                                                       : NULL;
    if (what != NULL) push(r, profile_frame_id(r->p, FRAME_STATE, what, ""));
}

static void look(target *t, const remote_vm *vm, const remote_sample *s, void *arg) {
    recorder *r = arg;
    r->depth = 0;
    for (size_t k = s->n; k-- > 0;) {
        const remote_frames *frames = &s->stack[k].frames;
        if (frames->cut) push(r, profile_frame_id(r->p, FRAME_STATE, "(deeper)", ""));
        for (size_t i = frames->n; i-- > 0;)
            push(r, frames->list[i].func.is_lua ? lua_frame(r, t, vm, frames, i) : native_frame(r, t, vm, frames, i));
    }
    if (s->stack[0].frames.n > 0) push_line(r, t, &s->stack[0]);
    push_state(r, &s->stack[0].where);
}

/* ---- Samples ---- */

static sample_result add(recorder *r, const remote_sample *s) {
    const remote_stack *top = &s->stack[0];
    if (r->failed || !profile_add(r->p, r->stack, r->depth, 1)) return SAMPLE_NO_MEMORY;
    r->counts.good++;
    r->counts.no_line += top->where.compiled && (top->where.pc == 0 || top->where.pc_is_near);
    for (size_t k = 0; k < s->n; k++) {
        if (!s->stack[k].frames.cut) continue;
        r->counts.cut++;
        break;
    }
    return SAMPLE_OK;
}

static sample_result note(recorder *r, sample_result result, const remote_sample *s) {
    r->counts.ticks++;
    switch (result) {
    case SAMPLE_OK: return add(r, s);
    case SAMPLE_IDLE: r->counts.outside++; break;
    case SAMPLE_OFF_CPU: r->counts.waiting++; break;
    case SAMPLE_ON_CPU: r->counts.running++; break;
    case SAMPLE_INCONSISTENT: r->counts.inconsistent++; break;
    default: break;
    }
    return result;
}

sample_result recorder_sample(recorder *r, target *t, remote_vm *vm, bool waits, remote_sample *s) {
    const sample_options options = {
        .max_frames = DEPTH_MAX, .only_on_cpu = !waits, .only_waiting = waits, .look = look, .arg = r};
    sample_result result = remote_sample_vm(t, vm, &options, s);
    r->counts.stopped_ns += s->stopped_ns;
    if (s->stopped_ns > r->counts.longest_ns) r->counts.longest_ns = s->stopped_ns;
    return note(r, result, s);
}

sample_result recorder_still(recorder *r, target *t, remote_vm *vm, remote_still *still, remote_sample *s) {
    const sample_options options = {.max_frames = DEPTH_MAX, .look = look, .arg = r};
    return note(r, remote_sample_still(t, vm, still, &options, s), s);
}

void recorder_count_others(recorder *r, uint64_t outside, uint64_t lost) {
    r->counts.outside += outside;
    r->counts.lost += lost;
}
