#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/remote/target_ops.h"

typedef struct line {
    uint64_t address;
    uint8_t length;
    uint8_t *bytes; /* own copy: changes are made there */
} line;

typedef struct image {
    unsigned flags;
    target_regs regs;
    line *lines;
    size_t n_lines;
    uint8_t *copy;
    const uint8_t *changes;
    size_t n_changes;
    unsigned reads, stops;
} image;

enum { CHANGE = 13, THREAD = 4711 };

static bool live; /* whether the one image that is open is said to be a process */

/* ---- Memory ---- */

static void apply_changes(image *i) {
    uint16_t when, number;
    for (size_t k = 0; k < i->n_changes; k++) {
        const uint8_t *c = i->changes + k * CHANGE;
        memcpy(&when, c, 2);
        if (when != i->reads) continue;
        memcpy(&number, c + 2, 2);
        if (number >= i->n_lines) continue;
        line *l = &i->lines[number];
        for (unsigned b = 0; b < 8; b++)
            if (c[4] + b < l->length) l->bytes[c[4] + b] = c[5 + b];
    }
}

/* Part of a page, or less. */
static size_t read_page(image *i, uint64_t from, uint8_t *to, size_t len) {
    uint64_t page = from - from % TARGET_PAGE;
    bool there = false;
    memset(to, 0, len);
    for (size_t k = 0; k < i->n_lines; k++) {
        const line *l = &i->lines[k];
        uint64_t last = l->address + l->length - 1;
        if (l->length == 0 || last < l->address) continue;
        if (last < page || l->address > page + (TARGET_PAGE - 1)) continue;
        there = true;
        uint64_t begin = l->address > from ? l->address : from, end = last < from + (len - 1) ? last : from + (len - 1);
        if (begin <= end) memcpy(to + (begin - from), l->bytes + (begin - l->address), (size_t)(end - begin) + 1);
    }
    return there ? len : 0;
}

static size_t image_read(target *t, uint64_t from, void *to, size_t len) {
    image *i = t->own;
    uint8_t *out = to;
    size_t done = 0;
    if (++i->reads > IMAGE_READS_MAX) return 0;
    apply_changes(i);
    while (done < len) {
        uint64_t at = from + done;
        size_t piece = TARGET_PAGE - at % TARGET_PAGE;
        if (at < from) break;
        if (piece > len - done) piece = len - done;
        if (read_page(i, at, out + done, piece) == 0) break;
        done += piece;
    }
    return done;
}

static bool image_touched(target *t, uint64_t from, size_t len) {
    const image *i = t->own;
    for (size_t k = 0; k < i->n_lines; k++) {
        uint64_t page = i->lines[k].address - i->lines[k].address % TARGET_PAGE;
        if (page + TARGET_PAGE > from && page < from + len) return true;
    }
    return false;
}

/* ---- Its thread ---- */

static bool image_lives(target *t) {
    (void)t;
    return true;
}

static size_t image_threads(target *t, pid_t *ids, size_t max) {
    const image *i = t->own;
    size_t n = (i->flags & IMAGE_GONE) != 0 ? 2 : 1;
    for (size_t k = 0; k < n && k < max; k++) ids[k] = THREAD + (pid_t)k;
    return n;
}

static thread_state image_thread(target *t, pid_t thread, uint64_t *sp, uint64_t *ip) {
    const image *i = t->own;
    if ((i->flags & IMAGE_RUNS) != 0) return THREAD_RUNS;
    *sp = i->regs.sp + (thread == THREAD ? 0 : 8);
    *ip = i->regs.ip;
    return THREAD_BLOCKS;
}

static bool image_thread_runs(target *t, pid_t thread, uint64_t *count) {
    (void)t;
    (void)thread;
    *count = 1;
    return true;
}

static bool image_stop(target *t, pid_t thread, target_regs *regs) {
    image *i = t->own;
    (void)thread;
    i->stops++;
    errno = EPERM;
    if ((i->flags & IMAGE_GONE) != 0 && i->stops > 2) return false;
    *regs = i->regs;
    return true;
}

static bool image_run_on(target *t, unsigned us, target_regs *regs) {
    (void)us;
    return image_stop(t, THREAD, regs);
}

static void image_resume(target *t) {
    (void)t;
}

static void image_close(target *t) {
    image *i = t->own;
    if (i == NULL) return;
    free(i->lines);
    free(i->copy);
    free(i);
}

static const target_ops IMAGE = {.read = image_read,
                                 .touched = image_touched,
                                 .lives = image_lives,
                                 .remap = image_lives,
                                 .threads = image_threads,
                                 .thread = image_thread,
                                 .thread_runs = image_thread_runs,
                                 .stop = image_stop,
                                 .run_on = image_run_on,
                                 .resume = image_resume,
                                 .close = image_close};

/* ---- Reading the bytes ---- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static uint64_t take(input *in, unsigned bytes) {
    uint64_t value = 0;
    unsigned n = bytes < in->left ? bytes : (unsigned)in->left;
    memcpy(&value, in->at, n);
    in->at += n;
    in->left -= n;
    return value;
}

static bool add_maps(target *t, input *in) {
    uint64_t n = take(in, 1);
    for (uint64_t k = 0; k < n && in->left >= 17 && t->n_maps < IMAGE_MAPS; k++) {
        target_map m = {.start = take(in, 8), .end = take(in, 8)};
        uint64_t bits = take(in, 1);
        if (m.start >= m.end || (t->n_maps > 0 && m.start < t->maps[t->n_maps - 1].end)) continue;
        if ((bits & 2) != 0 && m.end - m.start > IMAGE_SEARCHED) m.end = m.start + IMAGE_SEARCHED;
        m.readable = (bits & 1) != 0;
        m.writable = (bits & 2) != 0;
        m.executable = (bits & 4) != 0;
        m.shared = (bits & 8) != 0;
        m.path = strdup((bits & 16) != 0 ? "/usr/lib/\033]0;libluajit.so" : "");
        if (m.path == NULL || !target_add_map(t, m)) return false;
    }
    return true;
}

static bool add_lines(image *i, input *in) {
    uint64_t n = take(in, 2);
    if (n > IMAGE_LINES) n = IMAGE_LINES;
    i->copy = malloc(in->left + 1);
    i->lines = calloc(n + 1, sizeof *i->lines);
    if (i->copy == NULL || i->lines == NULL) return false;
    memcpy(i->copy, in->at, in->left);
    const uint8_t *first = in->at;
    while (i->n_lines < n && in->left >= 9) {
        line *l = &i->lines[i->n_lines++];
        l->address = take(in, 8);
        l->length = (uint8_t)take(in, 1);
        if (l->length > in->left) l->length = (uint8_t)in->left;
        l->bytes = i->copy + (in->at - first);
        in->at += l->length;
        in->left -= l->length;
    }
    return true;
}

target *image_open(const uint8_t *bytes, size_t size) {
    input in = {.at = bytes, .left = size};
    target *t = target_new(&IMAGE, THREAD);
    image *i = t != NULL ? calloc(1, sizeof *i) : NULL;
    if (t != NULL) t->own = i;
    if (i == NULL) goto fail;
    i->flags = (unsigned)take(&in, 1);
    live = (i->flags & IMAGE_LIVE) != 0;
    t->cpu = (i->flags & IMAGE_ARM64) != 0 ? CPU_ARM64 : CPU_X64;
    if (!add_maps(t, &in)) goto fail;
    uint64_t *const regs[] = {&i->regs.ip,    &i->regs.sp, &i->regs.base, &i->regs.pc, &i->regs.vm,
                              &i->regs.kbase, &i->regs.rb, &i->regs.lr,   &i->regs.fp};
    const size_t n_regs = sizeof regs / sizeof regs[0] - (t->cpu == CPU_ARM64 ? 0 : 2);
    for (size_t k = 0; k < n_regs; k++) *regs[k] = take(&in, 8);
    if (!add_lines(i, &in)) goto fail;
    i->changes = in.at;
    i->n_changes = in.left / CHANGE;
    return t;
fail:
    target_close(t);
    return NULL;
}

/* ---- In place of target_live.c ---- */

target *target_open(pid_t pid, target_error *error) {
    (void)pid;
    *error = TARGET_NO_PROCESS;
    return NULL;
}

bool target_traced_regs(pid_t thread, target_regs *regs) {
    (void)thread;
    (void)regs;
    return false;
}

bool target_is_core(const target *t) {
    (void)t;
    return !live;
}
