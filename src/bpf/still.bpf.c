/*
 * Runs in the kernel, at each tick of a clock on each processor. If a thread of the process runs there, and Lua in it, a
 * still of it is sent: the process is not stopped for that, and nothing can change meanwhile.
 *
 * What is copied is what src/remote reads to find where a thread stands: global_State, the dispatch table, and of the
 * coroutine that runs and of those that resumed it the lua_State, the used part of the stack, and the interpreter's frames
 * on the C stack. All else holds still by itself: prototypes, bytecode, traces. What it means is found out in user space.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../vm/vm_offsets.h"
#include "still.h"

enum {
    LEVELS = 16,  /* coroutines that resumed each other */
    CFRAMES = 64, /* of one coroutine */
    CFRAME_BYTES = 8 * VM_CFRAME_SIZE,
#if defined(__aarch64__)
    BELOW =
        4096, /* bytes of the C stack below the interpreter's frame: where functions in C have saved its registers */
#else
    BELOW = 512, /* what compiled code took, a return address */
#endif
    ABOVE = 2048, /* bytes of the Lua stack above its base: the slots of the largest frame, where some may be called */
    LOOK = 2048,  /* words of the C stack where a resumer is looked for, so many at a time */
    LOOK_WORDS = 128,
    NEAR = 1 << 24,
    C_STACK_MAX = 1 << 26
};
/* struct pt_regs of x86-64, in words; what struct pt_regs of arm64 begins with, user_pt_regs, is in a still's order. */
enum { PT_WORDS = 21, PT_IP = 16, PT_FLAGS = 18, PT_SP = 19 };
#if defined(__aarch64__)
enum { REG_BASE = STILL_ARM64_BASE, REG_SP = STILL_ARM64_SP };
#else
enum { REG_BASE = STILL_X64_BASE, REG_SP = STILL_X64_SP };
#endif

/* User space sets its size, and of `works` how many there are. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} stills SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct still_config);
} config SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, STILL_VMS);
    __type(key, __u32);
    __type(value, struct still_vm);
} vms SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STILL_COUNTS);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

/* A processor's still, and what is looked through for resumers. */
struct work {
    struct still still;
    __u64 look[LOOK_WORDS];
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct work);
} works SEC(".maps");

/* lua_State, as far as it is needed. */
struct thread {
    __u64 address, base, top, stack, cframe, bytes;
};

struct walk {
    const struct still_vm *vm;
    struct work *work;
    struct thread thread, found;
    __u64 sp, base, cframe, nearest;
    __u32 looks, chosen, interprets;
};

static void count(__u32 what) {
    __u64 *n = bpf_map_lookup_elem(&counts, &what);
    if (n) ++*n;
}

static __u64 word_at(__u64 address) {
    __u64 word = 0;
    bpf_probe_read_user(&word, sizeof word, (const void *)address);
    return word;
}

/* ---- Pieces ---- */

/* A piece of what lies between `start` and `end`. Functions that are not static are verified once, not at each call. */
__noinline int add_part(struct still *s, __u64 address, __u64 len, __u64 start, __u64 end) {
    if (!s || len == 0) return 0;
    /* Two comparisons, not one of a difference: that would bound a copy, of which the verifier of Linux 6.1 learns nothing. */
    __asm__ volatile("" : "+r"(len));
    if (len > STILL_PIECE_MAX) return 0;
    __u64 at = s->used;
    if (at > STILL_DATA) {
        s->missed++;
        return 0;
    }
    struct still_piece *p = (struct still_piece *)(s->data + at);
    if (bpf_probe_read_user(p + 1, len, (const void *)address)) {
        s->missed++;
        return 0;
    }
    p->address = address;
    p->len = len;
    p->start = start;
    p->end = end;
    s->used = at + sizeof *p + len;
    return 1;
}

static __always_inline int add(struct still *s, __u64 address, __u64 len) {
    return add_part(s, address, len, address, address + len);
}

/* ---- Threads ---- */

__noinline int read_thread(__u64 g, __u64 address, struct thread *t) {
    unsigned char L[VM_L_STACKSIZE + 8];
    if (!t || address == 0 || address % 8 != 0 || bpf_probe_read_user(L, sizeof L, (const void *)address)) return 0;
    if (L[VM_GC_TYPE] != VM_TYPE_THREAD || *(__u64 *)(L + VM_L_GLREF) != g) return 0;
    t->address = address;
    t->base = *(__u64 *)(L + VM_L_BASE);
    t->top = *(__u64 *)(L + VM_L_TOP);
    t->stack = *(__u64 *)(L + VM_L_STACK);
    t->cframe = *(__u64 *)(L + VM_L_CFRAME) & ~3ULL;
    t->bytes = 8 * (__u64) * (__u32 *)(L + VM_L_STACKSIZE);
    return 1;
}

/* A coroutine that has yielded to C stays the current one; what runs then may be the main thread. */
static int current_thread(const struct still_vm *vm, struct thread *t) {
    if (read_thread(vm->g, word_at(vm->g + vm->cur_l), t) && t->cframe != 0) return 1;
    return read_thread(vm->g, vm->main, t) && t->cframe != 0;
}

/* The VM whose frame on the C stack is the nearest above the stack pointer. */
static long choose(__u32 i, void *arg) {
    struct walk *w = arg;
    struct thread t;
    const struct still_vm *vm = bpf_map_lookup_elem(&vms, &i);
    if (!vm) return 1;
    if (current_thread(vm, &t) && t.cframe >= w->sp && t.cframe - w->sp < w->nearest) {
        w->nearest = t.cframe - w->sp;
        w->chosen = i;
        w->thread = t;
    }
    return 0;
}

static __always_inline __u64 higher(__u64 highest, __u64 address, __u64 low, __u64 high) {
    return address >= low && address <= high && address > highest ? address : highest;
}

/* The used part of its stack, from the bottom; what is too much is left out there. */
static __always_inline void add_stack(struct walk *w, struct still *s) {
    __u64 start = w->thread.stack, end = start + w->thread.bytes, low = start, high = end, used = start;
    used = higher(used, w->thread.base, low, high);
    used = higher(used, w->base, low, high);
    used = higher(used, word_at(w->vm->g + w->vm->jit_base), low, high);
    used = (used + (w->interprets ? ABOVE : 0)) & ~7ULL;
    if (used < high) high = used;
    if (high - low > STILL_PIECE_MAX) low = high - STILL_PIECE_MAX;
    add_part(s, low, high - low, start, end);
}

static long add_cframe(__u32 i, void *arg) {
    struct walk *w = arg;
    __u64 previous = word_at(w->cframe + 8 * VM_CFRAME_PREV) & ~3ULL;
    if (previous <= w->cframe || !w->work) return 1;
    w->cframe = previous;
    return !add(&w->work->still, previous, CFRAME_BYTES);
}

/* ---- Who resumed a coroutine (sample.c: find_resumer) ---- */

static int runs_at(struct walk *w, __u64 cframe, __u64 address) {
    return read_thread(w->vm->g, address, &w->found) && w->found.cframe == cframe;
}

/* One word of the C stack. */
static long look(__u32 i, void *arg) {
    struct walk *w = arg;
    struct work *work = w->work;
    __u64 at = w->cframe + 8 * (__u64)i;
    const void *from = (const void *)(at + 8 * VM_CFRAME_L);
    if (!work) return 1;
    if (i % LOOK_WORDS == 0 && bpf_probe_read_user(work->look, sizeof work->look, from)) return 1;
    __u64 word = work->look[i % LOOK_WORDS];
    if (word % 8 != 0 || word == w->thread.address) return 0;
    if ((word < w->vm->heap || word >= w->vm->heap_end) && word - w->thread.address + NEAR > 2 * NEAR) return 0;
    if (!runs_at(w, at, word)) return 0;
    w->looks = 1;
    return 1;
}

static int find_resumer(struct walk *w) {
    __u64 next = w->thread.cframe + CFRAME_BYTES;
    if (w->thread.address == w->vm->main) return 0;
    if (runs_at(w, next, word_at(next + 8 * VM_CFRAME_L))) return 1;
    w->looks = 0;
    w->cframe = next;
    bpf_loop(LOOK, look, w, 0);
    return w->looks;
}

/* A coroutine, and on to the one that resumed it. */
static long add_level(__u32 i, void *arg) {
    struct walk *w = arg;
    struct work *work = w->work;
    if (!work) return 1;
    struct still *s = &work->still;
    __u64 cframe = w->thread.cframe, low = i == 0 && cframe - w->sp > BELOW ? cframe - BELOW : i == 0 ? w->sp : cframe;
    low &= ~7ULL;
    add(s, w->thread.address, (VM_L_STACKSIZE + 8) & ~7ULL);
    add_stack(w, s);
    add(s, low, cframe + CFRAME_BYTES - low);
    w->cframe = cframe;
    bpf_loop(CFRAMES, add_cframe, w, 0);
    if (!find_resumer(w)) return 1;
    w->thread = w->found;
    w->base = 0;
    w->interprets = 0;
    return 0;
}

/* ---- A tick ---- */

static int is_ours(const struct still_config *c, __u32 *thread) {
    struct bpf_pidns_info id;
    if (bpf_get_ns_current_pid_tgid(c->namespace_device, c->namespace_inode, &id, sizeof id)) return 0;
    *thread = id.pid;
    return id.tgid == c->process;
}

/* Those of the process, wherever in the kernel the thread may be. */
static int copy_registers(struct still *s) {
    const void *user = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__aarch64__)
    return bpf_probe_read_kernel(s->reg, sizeof s->reg, user) == 0;
#else
    /* pt_regs has r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi. */
    __u64 r[PT_WORDS];
    if (bpf_probe_read_kernel(r, sizeof r, user)) return 0;
    s->reg[0] = r[10], s->reg[1] = r[11], s->reg[2] = r[12], s->reg[3] = r[5];
    s->reg[4] = r[PT_SP], s->reg[5] = r[4], s->reg[6] = r[13], s->reg[7] = r[14];
    s->reg[8] = r[9], s->reg[9] = r[8], s->reg[10] = r[7], s->reg[11] = r[6];
    s->reg[12] = r[3], s->reg[13] = r[2], s->reg[14] = r[1], s->reg[15] = r[0];
    s->reg[STILL_IP] = r[PT_IP];
    s->reg[STILL_FLAGS] = r[PT_FLAGS];
    return 1;
#endif
}

/* cppcheck-suppress unknownMacro */
SEC("perf_event")
int take_still(void *context) {
    __u32 zero = 0, processor = bpf_get_smp_processor_id(), thread;
    const struct still_config *c = bpf_map_lookup_elem(&config, &zero);
    if (!c || !is_ours(c, &thread)) return 0;
    struct work *work = bpf_map_lookup_elem(&works, &processor);
    struct walk w = {.nearest = C_STACK_MAX, .chosen = STILL_VMS};
    if (!work) return 0;
    struct still *s = &work->still;
    if (!copy_registers(s)) return 0;
    w.sp = s->reg[REG_SP];
    w.base = s->reg[REG_BASE];
    w.work = work;
    bpf_loop(c->vms < STILL_VMS ? c->vms : STILL_VMS, choose, &w, 0);
    w.vm = bpf_map_lookup_elem(&vms, &w.chosen);
    if (!w.vm) {
        count(STILL_OUTSIDE);
        return 0;
    }
    s->vm = w.chosen;
    s->thread = thread;
    s->used = s->missed = 0;
    add(s, w.vm->g, w.vm->g_bytes);
    /* In compiled code nobody asks for more. */
    w.interprets = *(int *)(s->data + sizeof(struct still_piece) + VM_G_VMSTATE) < 0;
    if (w.interprets) add(s, w.vm->table, w.vm->table_end - w.vm->table);
    bpf_loop(LEVELS, add_level, &w, 0);
    __u64 used = s->used, flags = BPF_RB_NO_WAKEUP;
    if (bpf_ringbuf_query(&stills, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&stills, BPF_RB_RING_SIZE) / 4)
        flags = BPF_RB_FORCE_WAKEUP;
    if (used > STILL_DATA + sizeof(struct still_piece) + STILL_PIECE_MAX) return 0;
    if (bpf_ringbuf_output(&stills, s, __builtin_offsetof(struct still, data) + used, flags)) count(STILL_LOST);
    return 0;
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
