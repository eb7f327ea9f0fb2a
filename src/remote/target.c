/*
 * What processes and core files have in common: pages that are kept, mappings.
 */
#include "still.h"
#include "target_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool target_processor_known(void) {
    return TARGET_CPU_HERE != CPU_OTHER;
}

target_cpu target_cpu_of(const target *t) {
    return t->cpu;
}

/* asm/ptrace.h: struct user_regs_struct of x86-64, struct user_pt_regs of arm64. */
bool target_regs_from(target_cpu cpu, const uint64_t *r, size_t n, target_regs *regs) {
    enum {
        X64_R15 = 0,
        X64_R14 = 1,
        X64_RBP = 4,
        X64_RBX = 5,
        X64_RDX = 12,
        X64_RIP = 16,
        X64_RSP = 19,
        X64_WORDS = 20
    };
    enum { ARM64_SP = 31, ARM64_PC = 32, ARM64_WORDS = 33 };
    if (cpu == CPU_X64 && n >= X64_WORDS) {
        *regs = (target_regs){.ip = r[X64_RIP],
                              .sp = r[X64_RSP],
                              .base = r[X64_RDX],
                              .pc = r[X64_RBX],
                              .vm = r[X64_R14],
                              .kbase = r[X64_R15],
                              .rb = r[X64_RBP]};
        return true;
    }
    if (cpu == CPU_ARM64 && n >= ARM64_WORDS) {
        *regs = (target_regs){.ip = r[ARM64_PC],
                              .sp = r[ARM64_SP],
                              .base = r[19],
                              .pc = r[21],
                              .vm = r[22],
                              .kbase = r[20],
                              .lr = r[30],
                              .fp = r[29]};
        return true;
    }
    return false;
}

target *target_new(const target_ops *ops, pid_t pid) {
    target *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->pages = calloc(TARGET_PAGES, sizeof *t->pages);
    if (t->pages == NULL) {
        free(t);
        return NULL;
    }
    t->ops = ops;
    t->cpu = TARGET_CPU_HERE;
    t->pid = pid;
    t->era = 1; /* the pages' is 0: none is current */
    return t;
}

void target_close(target *t) {
    if (t == NULL) return;
    t->ops->close(t);
    target_drop_maps(t);
    free(t->maps);
    free(t->pages);
    free(t);
}

pid_t target_pid(const target *t) {
    return t->pid;
}

uint64_t target_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- Memory ---- */

size_t target_read_bulk(target *t, uint64_t from, void *to, size_t len) {
    return t->ops->read(t, from, to, len);
}

bool target_touched(target *t, uint64_t from, size_t len) {
    return t->ops->touched(t, from, len);
}

void target_forget(target *t) {
    t->era++;
}

void target_limit(target *t, unsigned ms) {
    t->until = ms > 0 ? target_now_ns() + (uint64_t)ms * 1000000 : 0;
    t->late = false;
}

bool target_late(const target *t) {
    return t->late;
}

static bool in_time(target *t) {
    enum { EVERY = 64 };
    if (t->until == 0) return true;
    if (!t->late && ++t->reads % EVERY == 0) t->late = target_now_ns() > t->until;
    return !t->late;
}

/* The page at `address`, which is a page's; NULL where it cannot be read. */
static const target_page *page_at(target *t, uint64_t address) {
    target_page *p = &t->pages[address / TARGET_PAGE % TARGET_PAGES];
    if (p->address == address && p->era == t->era) return p;
    p->era = 0;
    if (t->ops->read(t, address, p->bytes, TARGET_PAGE) != TARGET_PAGE) return NULL;
    p->address = address;
    p->era = t->era;
    return p;
}

bool target_read(target *t, uint64_t from, void *to, size_t len) {
    char *out = to;
    if (from + len < from || !in_time(t)) return false;
    if (t->still != NULL) {
        still_result r = remote_still_read(t->still, from, to, len);
        if (r != STILL_ELSEWHERE) return r == STILL_READ;
    }
    while (len > 0) {
        size_t at = from % TARGET_PAGE, piece = TARGET_PAGE - at;
        if (piece > len) piece = len;
        const target_page *p = page_at(t, from - at);
        if (p == NULL) return false;
        memcpy(out, p->bytes + at, piece);
        out += piece;
        from += piece;
        len -= piece;
    }
    return true;
}

void target_show(target *t, const remote_still *still) {
    t->still = still;
}

uint64_t target_shown_from(const target *t, uint64_t at) {
    return t->still != NULL ? remote_still_next(t->still, at) : at;
}

/* ---- Mappings ---- */

void target_drop_maps(target *t) {
    for (size_t i = 0; i < t->n_maps; i++) free(t->maps[i].path);
    t->n_maps = 0;
}

bool target_add_map(target *t, target_map map) {
    if (t->n_maps == t->max_maps) {
        size_t more = t->max_maps == 0 ? 64 : 2 * t->max_maps;
        target_map *longer = realloc(t->maps, more * sizeof *longer);
        if (longer == NULL) {
            free(map.path);
            return false;
        }
        t->maps = longer;
        t->max_maps = more;
    }
    t->maps[t->n_maps++] = map;
    return true;
}

/* proc(5): start-end mode offset device inode name. False where the line is none. */
static bool parse_map(char *line, target_map *m) {
    char *at = line;
    line[strcspn(line, "\n")] = '\0';
    m->start = strtoull(at, &at, 16);
    if (*at != '-') return false;
    m->end = strtoull(at + 1, &at, 16);
    if (strlen(at) < 6 || m->start >= m->end) return false;
    m->readable = at[1] == 'r';
    m->writable = at[2] == 'w';
    m->executable = at[3] == 'x';
    m->shared = at[4] == 's';
    m->offset = strtoull(at + 5, &at, 16);
    for (int field = 0; field < 2; field++) {
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    m->path = strdup(at + strspn(at, " "));
    return true;
}

bool target_read_maps(target *t, const char *path) {
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    target_drop_maps(t);
    bool ok = true;
    while (ok && getline(&line, &size, f) > 0) {
        target_map m = {0};
        if (parse_map(line, &m)) ok = m.path != NULL && target_add_map(t, m);
    }
    ok = ok && !ferror(f);
    free(line);
    fclose(f);
    return ok;
}

const target_map *target_maps(const target *t, size_t *n) {
    *n = t->n_maps;
    return t->maps;
}

const target_map *target_map_at(const target *t, uint64_t address) {
    size_t low = 0, high = t->n_maps;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->maps[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < t->n_maps && t->maps[low].start <= address ? &t->maps[low] : NULL;
}

bool target_lives(target *t) {
    return t->ops->lives(t);
}

bool target_remap(target *t) {
    return t->ops->remap(t);
}

/* ---- Threads ---- */

size_t target_threads(target *t, pid_t *ids, size_t max) {
    return t->ops->threads(t, ids, max);
}

thread_state target_thread(target *t, pid_t thread, uint64_t *sp, uint64_t *ip) {
    *sp = *ip = 0;
    return t->ops->thread(t, thread, sp, ip);
}

bool target_thread_runs(target *t, pid_t thread, uint64_t *count) {
    return t->ops->thread_runs(t, thread, count);
}

bool target_stop(target *t, pid_t thread, target_regs *regs) {
    return t->ops->stop(t, thread, regs);
}

bool target_run_on(target *t, unsigned us, target_regs *regs) {
    target_forget(t);
    return t->ops->run_on(t, us, regs);
}

void target_resume(target *t) {
    t->ops->resume(t);
}

uint64_t target_stopped_ns(const target *t) {
    return t->stopped_ns;
}
