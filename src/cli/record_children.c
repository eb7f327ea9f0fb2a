/*
 * Recording a process with its descendants: each is recorded by a process of ours, which hands over what it has at its
 * end, and ends by SIGTERM. So one that cannot be read, or crashes its reader, takes nothing from the others.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "progress.h"
#include "record.h"

enum { MEMBERS_MAX = 1024, LOOK_MS = 100 };

/* A process, with ours that records it. */
typedef struct member {
    pid_t pid, recorder;
    unsigned long long began; /* when the process did: another may get its number later */
    int result, errors;       /* files in memory */
    bool gone;                /* it has ended */
    bool over;                /* the recorder has */
    int status;               /* of the recorder */
} member;

typedef struct family {
    const record_request *q;
    member list[MEMBERS_MAX];
    size_t n, recording;
    bool full;
    bool has_lists; /* kernel_has_lists() */
} family;

/* What a recorder hands over; the stacks follow. */
typedef struct result {
    recorder_counts counts;
    double seconds_a_sample;
} result;

/* ---- Who belongs to it ---- */

typedef struct process {
    pid_t pid, parent;
    unsigned long long began;
    bool in;
} process;

/* proc(5), stat: the name may hold anything, but for what follows the last ')'. */
static bool read_process(pid_t pid, process *p) {
    char path[32], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *rest = strrchr(line, ')');
    if (rest == NULL || rest[1] != ' ' || rest[2] == '\0') return false;
    const char *at = rest + 3;
    for (int field = 4; field <= 22; field++) {
        char *end;
        unsigned long long value = strtoull(at, &end, 10); /* some may be below 0, but not those that are wanted */
        if (end == at) return false;
        if (field == 4) p->parent = (pid_t)value;
        p->began = value;
        at = end;
    }
    p->pid = pid;
    p->in = false;
    return rest[2] != 'Z' && rest[2] != 'X';
}

typedef struct processes {
    process *list;
    size_t n, room;
} processes;

/* Add the process, but not us or ours, nor one that has ended, nor one that is there already. False: no memory. */
static bool add_process(processes *all, pid_t pid) {
    process p;
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].pid == pid) return true;
    if (!read_process(pid, &p) || p.pid == getpid() || p.parent == getpid()) return true;
    if (all->n == all->room) {
        size_t room = all->room == 0 ? 256 : 2 * all->room;
        process *more = realloc(all->list, room * sizeof *more);
        if (more == NULL) return false;
        all->list = more;
        all->room = room;
    }
    all->list[all->n++] = p;
    return true;
}

static bool is_member(const family *f, const process *p) {
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].pid == p->pid && f->list[i].began == p->began) return true;
    return false;
}

/* ---- By the kernel's lists of children: to read all of /proc ten times a second would take a good part of a core where
 * there are thousands of processes ---- */

/* proc(5), /proc/pid/task/tid/children: those that this thread has started. Not in all kernels. */
static FILE *open_children(pid_t pid, long thread) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%ld/children", (int)pid, thread);
    return fopen(path, "re");
}

static bool kernel_has_lists(void) {
    FILE *f = open_children(getpid(), getpid());
    if (f != NULL) fclose(f);
    return f != NULL;
}

/* More than can be recorded: a process that starts others without end does not hold us up. */
static bool is_full(const processes *all) {
    return all->n > MEMBERS_MAX;
}

/* The numbers in one of them. False: no memory. */
static bool add_listed(processes *all, FILE *f) {
    char *word = NULL, *end;
    size_t size = 0;
    bool ok = true;
    while (ok && !is_full(all) && getdelim(&word, &size, ' ', f) > 0) {
        long child = strtol(word, &end, 10);
        if (end != word) ok = add_process(all, (pid_t)child);
    }
    free(word);
    return ok;
}

static bool add_children(processes *all, pid_t pid) {
    char path[32];
    bool ok = true;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) return true; /* it has ended */
    for (const struct dirent *e; ok && !is_full(all) && (e = readdir(dir)) != NULL;) {
        FILE *f = isdigit((unsigned char)*e->d_name) ? open_children(pid, strtol(e->d_name, NULL, 10)) : NULL;
        if (f != NULL) ok = add_listed(all, f);
        if (f != NULL) fclose(f);
    }
    closedir(dir);
    return ok;
}

/* The members that there still are, and what they have started. False: no memory. */
static bool read_descendants(family *f, processes *all) {
    bool ok = f->n > 0 || add_process(all, f->q->pid);
    for (size_t i = 0; ok && i < f->n; i++) {
        member *m = &f->list[i];
        process p;
        m->gone = m->gone || !read_process(m->pid, &p) || p.began != m->began;
        if (!m->gone) ok = add_process(all, m->pid);
    }
    for (size_t i = 0; ok && !is_full(all) && i < all->n; i++)
        ok = add_children(all, all->list[i].pid); /* the list grows */
    for (size_t i = 0; i < all->n; i++) all->list[i].in = true;
    return ok;
}

/* ---- By all processes ---- */

static bool has_parent_in(const processes *all, const process *p) {
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].in && all->list[i].pid == p->parent) return true;
    return false;
}

/* False: no memory, or no /proc. */
static bool read_all(const family *f, processes *all) {
    DIR *dir = opendir("/proc");
    bool ok = dir != NULL, more = ok;
    for (const struct dirent *e; ok && (e = readdir(dir)) != NULL;)
        if (isdigit((unsigned char)*e->d_name)) ok = add_process(all, (pid_t)strtol(e->d_name, NULL, 10));
    if (dir != NULL) closedir(dir);
    for (size_t i = 0; i < all->n; i++) all->list[i].in = all->list[i].pid == f->q->pid || is_member(f, &all->list[i]);
    while (more) {
        more = false;
        for (size_t i = 0; i < all->n; i++) {
            if (all->list[i].in || !has_parent_in(all, &all->list[i])) continue;
            all->list[i].in = more = true;
        }
    }
    return ok;
}

/* ---- Recording one ---- */

static _Noreturn void be_recorder(const family *f, const member *m, pid_t parent) {
    record_request q = *f->q;
    result r = {0};
    profile p;
    double seconds;
    q.pid = m->pid;
    q.seconds = 0;
    if (dup2(m->errors, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || !profile_init(&p))
        _exit(CLI_FAILED);
    if (getppid() != parent) record_interrupted = 1;
    int status = record_process(&q, &p, &r.counts, &seconds);
    r.seconds_a_sample = p.seconds_a_sample;
    FILE *out = fdopen(m->result, "w");
    bool ok = out != NULL && fwrite(&r, sizeof r, 1, out) == 1 && profile_write_folded(&p, out) && fflush(out) == 0;
    if (!ok) status = cli_fail(CLI_FAILED, "process %d: what was recorded is lost: %s", (int)m->pid, strerror(errno));
    _exit(status);
}

static bool start_recorder(family *f, const process *p) {
    member *m = &f->list[f->n];
    pid_t self = getpid();
    *m = (member){.pid = p->pid, .began = p->began, .result = -1, .errors = -1};
    m->result = memfd_create("ljinspect result", MFD_CLOEXEC);
    m->errors = memfd_create("ljinspect errors", MFD_CLOEXEC);
    m->recorder = m->result >= 0 && m->errors >= 0 ? fork() : -1;
    if (m->recorder == 0) be_recorder(f, m, self);
    if (m->recorder < 0) {
        int reason = errno;
        if (m->result >= 0) close(m->result);
        if (m->errors >= 0) close(m->errors);
        errno = reason;
        return false;
    }
    f->n++;
    f->recording++;
    return true;
}

/* 0, or an exit status after a message. */
static int look_for_members(family *f) {
    processes all = {.list = NULL};
    bool ok = f->has_lists ? read_descendants(f, &all) : read_all(f, &all);
    if (!ok) {
        int reason = errno;
        free(all.list);
        return cli_fail(CLI_FAILED, "the list of processes cannot be read: %s", strerror(reason));
    }
    for (size_t i = 0; i < all.n && ok; i++) {
        const process *p = &all.list[i];
        if (!p->in || is_member(f, p)) continue;
        if (p->pid == f->q->pid && f->n > 0) continue; /* its number is another's by now */
        if (f->n == MEMBERS_MAX) {
            if (!f->full) fprintf(stderr, "ljinspect: more than %d processes: the others are left out\n", MEMBERS_MAX);
            f->full = true;
            break;
        }
        ok = start_recorder(f, p);
    }
    free(all.list);
    return ok ? 0 : cli_fail(CLI_FAILED, "a process of our own cannot be started: %s", strerror(errno));
}

static void reap(family *f, bool wait_for_it) {
    for (size_t i = 0; i < f->n; i++) {
        member *m = &f->list[i];
        int status;
        pid_t got;
        if (m->over) continue;
        do got = waitpid(m->recorder, &status, wait_for_it ? 0 : WNOHANG);
        while (got < 0 && errno == EINTR);
        if (got != m->recorder) continue;
        m->over = true;
        m->status = WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
        f->recording--;
    }
}

/* ---- What they have ---- */

static void add_counts(recorder_counts *sum, const recorder_counts *c) {
    sum->ticks += c->ticks;
    sum->good += c->good;
    sum->outside += c->outside;
    sum->waiting += c->waiting;
    sum->running += c->running;
    sum->inconsistent += c->inconsistent;
    sum->cut += c->cut;
    sum->no_line += c->no_line;
    sum->lost += c->lost;
}

static bool add_result(const member *m, profile *p, recorder_counts *sum) {
    result r;
    const char *why = "";
    FILE *in = lseek(m->result, 0, SEEK_SET) == 0 ? fdopen(dup(m->result), "r") : NULL;
    bool ok = in != NULL && fread(&r, sizeof r, 1, in) == 1;
    if (ok && r.counts.good > 0) {
        double before = p->seconds_a_sample * (double)sum->good;
        ok = profile_read_folded(p, in, &why);
        add_counts(sum, &r.counts);
        p->seconds_a_sample = (before + r.seconds_a_sample * (double)r.counts.good) / (double)sum->good;
    } else if (ok) {
        add_counts(sum, &r.counts);
    }
    if (in != NULL) fclose(in);
    return ok;
}

/* What a recorder said, for one that failed. */
static void show_errors(const member *m) {
    char text[4096];
    ssize_t n = pread(m->errors, text, sizeof text, 0);
    if (n > 0) fwrite(text, 1, (size_t)n, stderr);
}

/* The worst that is worth telling: a process without LuaJIT, or that has ended, is none. */
static int collect(family *f, profile *p, recorder_counts *c) {
    size_t with_lua = 0;
    int status = 0, first = 0;
    for (size_t i = 0; i < f->n; i++) {
        const member *m = &f->list[i];
        bool has = add_result(m, p, c);
        bool harmless = m->status == ATTACH_NO_LUAJIT || m->status == ATTACH_NO_PROCESS;
        with_lua += has && !harmless && m->status != ATTACH_NO_PERMISSION;
        if (m->status != 0 && first == 0) first = m->status;
        if (m->status != 0 && !harmless) {
            show_errors(m);
            status = m->status;
        } else if (!has && !harmless) {
            status = cli_fail(CLI_FAILED, "process %d: what was recorded is lost", (int)m->pid);
        }
    }
    fprintf(stderr, "ljinspect: %zu processes, of which %zu have LuaJIT\n", f->n, with_lua);
    if (with_lua > 0 || status != 0) return status;
    for (size_t i = 0; i < f->n && first != 0; i++) {
        if (f->list[i].status != first) continue;
        show_errors(&f->list[i]);
        break;
    }
    return first;
}

static void summarize(const recorder_counts *c, double seconds) {
    fprintf(stderr,
            "ljinspect: %.1f s: %" PRIu64 " samples; %" PRIu64 " inconsistent and left out; outside Lua %" PRIu64
            "; %" PRIu64 " lost\n",
            seconds, c->good, c->inconsistent, c->outside, c->lost);
}

int record_children(const record_request *q, profile *p, recorder_counts *c, double *seconds) {
    family *f = calloc(1, sizeof *f);
    *c = (recorder_counts){0};
    *seconds = 0;
    if (f == NULL) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    f->q = q;
    f->has_lists = kernel_has_lists();
    const double begin = sampler_now();
    bool terminal = progress_wanted();
    int status = look_for_members(f);
    if (status == 0 && f->n == 0) status = cli_fail(ATTACH_NO_PROCESS, "no process %d", (int)q->pid);
    while (status == 0 && !record_interrupted && f->recording > 0) {
        double now = sampler_now();
        if (q->seconds > 0 && now - begin >= q->seconds) break;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        reap(f, false);
        status = look_for_members(f);
        if (terminal) progress_show("%.0f s: %zu processes", now - begin, f->recording);
    }
    if (terminal) progress_end();
    for (size_t i = 0; i < f->n; i++)
        if (!f->list[i].over) kill(f->list[i].recorder, SIGTERM);
    *seconds = sampler_now() - begin;
    reap(f, true);
    if (f->n > 0) {
        int collected = collect(f, p, c);
        if (status == 0) status = collected;
        summarize(c, *seconds);
    }
    for (size_t i = 0; i < f->n; i++) {
        close(f->list[i].result);
        close(f->list[i].errors);
    }
    free(f);
    return status;
}
