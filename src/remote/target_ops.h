/*
 * What a process and a core file do in their own ways. Inside of target.h.
 */
#ifndef LJINSPECT_REMOTE_TARGET_OPS_H
#define LJINSPECT_REMOTE_TARGET_OPS_H

#include "target.h"

enum { TARGET_PAGE = 4096, TARGET_PAGES = 512 };

typedef struct target_ops {
    size_t (*read)(target *t, uint64_t from, void *to, size_t len);
    bool (*touched)(target *t, uint64_t from, size_t len);
    bool (*lives)(target *t);
    bool (*remap)(target *t);
    size_t (*threads)(target *t, pid_t *ids, size_t max);
    thread_state (*thread)(target *t, pid_t thread, uint64_t *sp, uint64_t *ip);
    bool (*thread_runs)(target *t, pid_t thread, uint64_t *count);
    bool (*stop)(target *t, pid_t thread, target_regs *regs);
    bool (*run_on)(target *t, unsigned us, target_regs *regs);
    void (*resume)(target *t);
    void (*close)(target *t);
} target_ops;

typedef struct target_page {
    uint64_t address; /* of the page; 1: none */
    uint64_t era;     /* it is current if this is the target's */
    unsigned char bytes[TARGET_PAGE];
} target_page;

struct target {
    const target_ops *ops;
    target_cpu cpu;
    pid_t pid;
    target_map *maps;
    size_t n_maps, max_maps;
    uint64_t era;
    uint64_t stopped_at, stopped_ns;
    uint64_t until; /* target_limit(); 0: none */
    unsigned reads; /* the clock is looked at every so many */
    bool late;
    target_page *pages;
    const struct remote_still *still; /* that is shown; NULL: none */
    void *own;                        /* of the kind of target */
};

/* A target without mappings; NULL: no memory. */
target *target_new(const target_ops *ops, pid_t pid);
void target_drop_maps(target *t);
/* Add a mapping behind those there are; the target owns `path` then, also when it fails. */
bool target_add_map(target *t, target_map map);
/* Read lines of the form of /proc/PID/maps. */
bool target_read_maps(target *t, const char *path);
uint64_t target_now_ns(void);
/* Registers of a thread that stands for its tracer, which we are. False with errno. */
bool target_traced_regs(pid_t thread, target_regs *regs);

#endif
