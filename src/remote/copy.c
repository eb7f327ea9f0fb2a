#include "copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "hold.h"
#include "target_ops.h"

/* Larger mappings are reserved address space. */
#define MAPPING_MAX (UINT64_C(1) << 40)

enum { CHUNK = 1 << 20, SPAN = 64 << 20, THREADS_MAX = 65536 };

/* A run of memory that is in use, without a gap. */
typedef struct piece {
    uint64_t start, size;
    uint64_t first_word; /* words in the pieces before */
    unsigned char *bytes;
} piece;

typedef struct copy_thread {
    pid_t id;
    thread_state state;
    bool has_regs; /* else only sp and ip, which are 0 where they are not known */
    target_regs regs;
    uint64_t runs;
} copy_thread;

struct copy {
    target *of, *as_target;
    unsigned char *memory;
    uint64_t size, used; /* of `memory` */
    piece *pieces;
    size_t n_pieces, max_pieces, last;
    copy_thread *threads;
    size_t n_threads;
};

/* ---- What is to be copied ---- */

/* Private memory that can be written, as remote_find_vms() looks at, and the stacks. */
static bool is_wanted(const target_map *m) {
    return m->readable && m->writable && !m->shared && m->end - m->start <= MAPPING_MAX;
}

static bool add_run(copy *c, uint64_t start, uint64_t size) {
    if (c->n_pieces > 0 && c->pieces[c->n_pieces - 1].start + c->pieces[c->n_pieces - 1].size == start) {
        c->pieces[c->n_pieces - 1].size += size;
        return true;
    }
    if (c->n_pieces == c->max_pieces) {
        size_t more = c->max_pieces == 0 ? 64 : 2 * c->max_pieces;
        piece *longer = realloc(c->pieces, more * sizeof *longer);
        if (longer == NULL) return false;
        c->pieces = longer;
        c->max_pieces = more;
    }
    c->pieces[c->n_pieces++] = (piece){.start = start, .size = size};
    return true;
}

/* The runs of one mapping that were ever touched. False: no memory. */
static bool plan_mapping(copy *c, const target_map *m, size_t *looks, uint64_t *total) {
    for (uint64_t at = m->start; at<m->end && * looks> 0;) {
        uint64_t left = m->end - at, span = left < SPAN ? left : SPAN;
        (*looks)--;
        bool touched = target_touched(c->of, at, (size_t)span);
        for (uint64_t k = 0; touched && k < span; k += CHUNK) {
            uint64_t size = span - k < CHUNK ? span - k : CHUNK;
            if (!target_touched(c->of, at + k, (size_t)size)) continue;
            if (!add_run(c, at + k, size)) return false;
            *total += size;
        }
        at += span;
    }
    return true;
}

/* Returns the size of all runs; UINT64_MAX: no memory. Address space without end, as a damaged core file may have, is not
 * looked at to the end. */
static uint64_t plan(copy *c) {
    enum { LOOKS_MAX = 1 << 15 }; /* at 64 MB each */
    size_t n, looks = LOOKS_MAX;
    uint64_t total = 0;
    const target_map *maps = target_maps(c->of, &n);
    c->n_pieces = 0;
    for (size_t i = 0; i < n; i++)
        if (is_wanted(&maps[i]) && !plan_mapping(c, &maps[i], &looks, &total)) return UINT64_MAX;
    return total;
}

/* ---- Memory for it ---- */

static unsigned char *map_memory(uint64_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Memory that is there already is filled faster: before the process is held. */
static bool reserve(copy *c, uint64_t size) {
    if (c->memory != NULL) munmap(c->memory, c->size);
    c->size = size > 0 ? size : 1;
    c->used = 0;
    c->memory = map_memory(c->size);
    if (c->memory == NULL) return false;
#ifdef MADV_HUGEPAGE
    madvise(c->memory, c->size, MADV_HUGEPAGE);
#endif
    for (uint64_t at = 0; at < c->size; at += TARGET_PAGE) *(volatile unsigned char *)(c->memory + at) = 0;
    return true;
}

/* ---- Threads ---- */

static const held_thread *held(const hold *h, pid_t id) {
    for (size_t i = 0; i < h->n; i++)
        if (h->threads[i].id == id) return &h->threads[i];
    return NULL;
}

static bool note_threads(copy *c, const hold *h) {
    pid_t *ids = malloc(THREADS_MAX * sizeof *ids);
    if (ids == NULL) return false;
    size_t n = target_threads(c->of, ids, THREADS_MAX);
    c->threads = calloc(n + 1, sizeof *c->threads);
    for (size_t i = 0; c->threads != NULL && i < n; i++) {
        copy_thread *th = &c->threads[c->n_threads++];
        const held_thread *stands = held(h, ids[i]);
        th->id = ids[i];
        th->state = target_thread(c->of, th->id, &th->regs.sp, &th->regs.ip);
        if (!target_thread_runs(c->of, th->id, &th->runs)) th->state = THREAD_GONE;
        if (stands != NULL && stands->has_regs) {
            th->regs = stands->regs;
            th->has_regs = true;
        }
        if (target_is_core(c->of)) th->has_regs = target_stop(c->of, th->id, &th->regs);
    }
    free(ids);
    return c->threads != NULL;
}

/* Whether none has run since, nor a new one begun. */
static bool threads_stood(copy *c) {
    bool stood = true;
    pid_t *ids = malloc(THREADS_MAX * sizeof *ids);
    if (ids == NULL) return false;
    stood = target_threads(c->of, ids, THREADS_MAX) == c->n_threads;
    free(ids);
    for (size_t i = 0; stood && i < c->n_threads; i++) {
        const copy_thread *th = &c->threads[i];
        uint64_t sp, ip, runs;
        if (th->has_regs || th->state == THREAD_GONE) continue;
        stood = th->state != THREAD_RUNS && target_thread(c->of, th->id, &sp, &ip) == th->state &&
                target_thread_runs(c->of, th->id, &runs) && runs == th->runs;
    }
    return stood;
}

/* ---- Copying ---- */

static void copy_piece(copy *c, piece *p, const copy_options *o, uint64_t total) {
    enum { PORTION = 8 << 20 };
    for (uint64_t done = 0; done < p->size;) {
        uint64_t left = p->size - done, want = left < PORTION ? left : PORTION;
        uint64_t got = target_read_bulk(c->of, p->start + done, p->bytes + done, (size_t)want);
        if (got < want) { /* what cannot be read is as if it were zeros */
            uint64_t hole = TARGET_PAGE - (p->start + done + got) % TARGET_PAGE;
            if (hole > want - got) hole = want - got;
            memset(p->bytes + done + got, 0, hole);
            got += hole;
        }
        done += got;
        /* A terminal may keep us waiting, and with us who is held. */
        if (o->progress != NULL && !o->hold) o->progress("copied", c->used + done, total, o->arg);
    }
    c->used += p->size;
}

static void copy_all(copy *c, const copy_options *o, uint64_t total) {
    uint64_t words = 0;
    for (size_t i = 0; i < c->n_pieces; i++) {
        piece *p = &c->pieces[i];
        p->bytes = c->memory + c->used;
        p->first_word = words;
        words += p->size / 8;
        copy_piece(c, p, o, total);
    }
}

/* Plan again and copy; the process may be held. */
static copy_error fill(copy *c, const copy_options *o, const hold *h, copy_info *info) {
    if (!target_remap(c->of) || !target_lives(c->of)) return COPY_GONE;
    info->bytes = plan(c);
    if (info->bytes == UINT64_MAX || info->bytes > o->max_bytes) return COPY_NO_MEMORY;
    if (info->bytes > c->size && !reserve(c, info->bytes)) return COPY_NO_MEMORY;
    if (!note_threads(c, h)) return COPY_NO_MEMORY;
    uint64_t begin = target_now_ns();
    copy_all(c, o, info->bytes);
    info->copied_ns = target_now_ns() - begin;
    info->still = h->missing == 0 && threads_stood(c);
    return target_lives(c->of) ? COPY_OK : COPY_GONE;
}

static bool hold_at_good_moment(hold *h, target *t, const copy_options *o) {
    enum { TRIES = 12, APART_NS = 300000 };
    for (int i = 1;; i++) {
        if (!hold_begin(h, t)) return false;
        target_forget(t);
        if (o->is_good_moment == NULL || i == TRIES || o->is_good_moment(t, o->arg)) return true;
        hold_end(h);
        nanosleep(&(struct timespec){.tv_nsec = (long)APART_NS * i}, NULL);
    }
}

static copy_error take(copy *c, const copy_options *o, copy_info *info) {
    hold h = {0};
    if (!target_remap(c->of)) return COPY_GONE;
    info->bytes = plan(c);
    if (info->bytes == UINT64_MAX || info->bytes > o->max_bytes) return COPY_NO_MEMORY;
    if (!reserve(c, info->bytes + info->bytes / 16 + CHUNK)) return COPY_NO_MEMORY;
    bool hold_it = o->hold && !target_is_core(c->of);
    if (hold_it && !hold_at_good_moment(&h, c->of, o)) return errno == ESRCH ? COPY_GONE : COPY_NO_STOP;
    info->missing = h.missing;
    copy_error error = fill(c, o, &h, info);
    if (hold_it) info->held_ns = hold_end(&h);
    return error;
}

void copy_free(copy *c) {
    if (c == NULL) return;
    if (c->as_target != NULL) target_close(c->as_target);
    if (c->memory != NULL) munmap(c->memory, c->size);
    free(c->pieces);
    free(c->threads);
    free(c);
}

/* ---- Looking ---- */

static const piece *piece_of(copy *c, uint64_t address) {
    if (c->last < c->n_pieces) {
        const piece *p = &c->pieces[c->last];
        if (address - p->start < p->size) return p;
    }
    size_t low = 0, high = c->n_pieces;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->pieces[middle].start + c->pieces[middle].size <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == c->n_pieces || address < c->pieces[low].start) return NULL;
    c->last = low;
    return &c->pieces[low];
}

const unsigned char *copy_at(copy *c, uint64_t address, uint64_t len) {
    const piece *p = piece_of(c, address);
    if (p == NULL || len > p->size - (address - p->start)) return NULL;
    return p->bytes + (address - p->start);
}

struct copy_bits {
    uint64_t n;
    unsigned char bytes[];
};

uint64_t copy_words(const copy *c) {
    return c->n_pieces > 0 ? c->pieces[c->n_pieces - 1].first_word + c->pieces[c->n_pieces - 1].size / 8 : 0;
}

copy_bits *copy_bits_new(const copy *c) {
    uint64_t words = copy_words(c);
    copy_bits *b = calloc(1, sizeof *b + words / 8 + 1);
    if (b != NULL) b->n = words;
    return b;
}

void copy_bits_free(copy_bits *b) {
    free(b);
}

static uint64_t word_of(copy *c, uint64_t address) {
    const piece *p = piece_of(c, address);
    return p != NULL ? p->first_word + (address - p->start) / 8 : UINT64_MAX;
}

bool copy_bits_set(copy_bits *b, copy *c, uint64_t address) {
    uint64_t word = word_of(c, address);
    if (word >= b->n) return true;
    unsigned char bit = (unsigned char)(1U << word % 8), *byte = &b->bytes[word / 8];
    bool before = (*byte & bit) != 0;
    *byte |= bit;
    return before;
}

bool copy_bits_test(const copy_bits *b, copy *c, uint64_t address) {
    uint64_t word = word_of(c, address);
    return word < b->n && (b->bytes[word / 8] >> word % 8 & 1) != 0;
}

/* ---- As a target ---- */

static copy *copy_of(const target *t) {
    copy *c;
    memcpy(&c, t->own, sizeof c);
    return c;
}

/* What was not copied is code and constants: it does not change. */
static size_t read_copy(target *t, uint64_t from, void *to, size_t len) {
    copy *c = copy_of(t);
    const piece *p = piece_of(c, from);
    if (p == NULL) return target_read_bulk(c->of, from, to, len);
    uint64_t left = p->size - (from - p->start);
    size_t n = len < left ? len : (size_t)left;
    memcpy(to, p->bytes + (from - p->start), n);
    return n;
}

static const copy_thread *thread_of(const target *t, pid_t id) {
    const copy *c = copy_of(t);
    for (size_t i = 0; i < c->n_threads; i++)
        if (c->threads[i].id == id) return &c->threads[i];
    return NULL;
}

static size_t copy_threads(target *t, pid_t *ids, size_t max) {
    const copy *c = copy_of(t);
    size_t n = c->n_threads < max ? c->n_threads : max;
    for (size_t i = 0; i < n; i++) ids[i] = c->threads[i].id;
    return n;
}

static thread_state copy_thread_state(target *t, pid_t id, uint64_t *sp, uint64_t *ip) {
    const copy_thread *th = thread_of(t, id);
    if (th == NULL) return THREAD_GONE;
    *sp = th->regs.sp;
    *ip = th->regs.ip;
    return th->has_regs ? THREAD_STOPPED : th->state;
}

/* A thread that ran while the copy was taken has no registers that fit. */
static bool copy_stop(target *t, pid_t id, target_regs *regs) {
    const copy_thread *th = thread_of(t, id);
    if (th == NULL || (!th->has_regs && th->regs.sp == 0)) {
        errno = th == NULL ? ESRCH : EAGAIN;
        return false;
    }
    *regs = th->regs;
    return true;
}

static bool copy_thread_runs(target *t, pid_t id, uint64_t *count) {
    *count = 0;
    return thread_of(t, id) != NULL;
}

static bool copy_touched(target *t, uint64_t from, size_t len) {
    (void)t;
    (void)from;
    (void)len;
    return true;
}

static bool yes(target *t) {
    (void)t;
    return true;
}

static bool copy_run_on(target *t, unsigned us, target_regs *regs) {
    (void)t;
    (void)us;
    (void)regs;
    return false;
}

static void nothing(target *t) {
    (void)t;
}

static void free_own(target *t) {
    free(t->own);
}

static const target_ops COPY = {.read = read_copy,
                                .touched = copy_touched,
                                .lives = yes,
                                .remap = yes,
                                .threads = copy_threads,
                                .thread = copy_thread_state,
                                .thread_runs = copy_thread_runs,
                                .stop = copy_stop,
                                .run_on = copy_run_on,
                                .resume = nothing,
                                .close = free_own};

static bool make_target(copy *c) {
    size_t n;
    const target_map *maps = target_maps(c->of, &n);
    target *t = target_new(&COPY, target_pid(c->of));
    c->as_target = t;
    if (t == NULL) return false;
    t->cpu = target_cpu_of(c->of);
    t->own = malloc(sizeof c);
    if (t->own == NULL) return false;
    memcpy(t->own, &c, sizeof c);
    for (size_t i = 0; i < n; i++) {
        target_map m = maps[i];
        m.path = strdup(m.path);
        if (m.path == NULL || !target_add_map(t, m)) return false;
    }
    return true;
}

target *copy_target(copy *c) {
    return c->as_target;
}

copy *copy_take(target *t, const copy_options *options, copy_info *info, copy_error *error) {
    copy *c = calloc(1, sizeof *c);
    *info = (copy_info){0};
    *error = COPY_NO_MEMORY;
    if (c == NULL) return NULL;
    c->of = t;
    *error = take(c, options, info);
    if (*error == COPY_OK && !make_target(c)) *error = COPY_NO_MEMORY;
    if (*error == COPY_OK) return c;
    copy_free(c);
    return NULL;
}
