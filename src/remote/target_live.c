/*
 * A process. Memory comes from process_vm_readv(), which needs no stop. A thread is stopped only to get at its registers:
 * PTRACE_SEIZE and PTRACE_INTERRUPT send no signal, and PTRACE_DETACH follows within microseconds, so that a signal that
 * the process gets meanwhile is not held up.
 *
 * Whatever ends this process lets the thread go: the kernel detaches what a process traces when it ends. What only stops
 * it would not, and a signal that the thread is about to get would be lost with us: signals to us wait while it stands.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "target_ops.h"

typedef struct live {
    bool urgent; /* our own priority was raised */
    bool deaf;   /* signals to us are blocked; `mask` is what was blocked before */
    sigset_t mask;
    int pagemap;  /* file of /proc; -1: it cannot be read */
    size_t page;  /* bytes of the kernel's pages */
    int pidfd;    /* refers to this process whoever has its number later; -1: the kernel has none */
    pid_t thread; /* the one that is stopped, or that we wait for; 0: none */
    bool stopped;
    int signal; /* that arrived for it meanwhile */
} live;

enum { SPINS = 200, PATIENCE_NS = 200000000 };

/* An address of the other process, or a signal's number, in the form that system calls take it. */
static void *other_pointer(uint64_t value) {
    void *p;
    memcpy(&p, &value, sizeof p);
    return p;
}

static size_t live_read(target *t, uint64_t from, void *to, size_t len) {
    struct iovec here = {.iov_base = to, .iov_len = len};
    struct iovec there = {.iov_base = other_pointer(from), .iov_len = len};
    ssize_t n = process_vm_readv(t->pid, &here, 1, &there, 1, 0);
    return n > 0 ? (size_t)n : 0;
}

/* proc(5), pagemap: a word for each page; the highest bits are for pages in memory and in swap. */
static bool live_touched(target *t, uint64_t from, size_t len) {
    enum { PAGES_MAX = (64 << 20) / TARGET_PAGE + 2 };
    const live *l = t->own;
    uint64_t entries[PAGES_MAX], first = from / l->page, last = (from + len - 1) / l->page;
    size_t n = last - first + 1;
    if (l->pagemap < 0 || len == 0 || n > PAGES_MAX) return true;
    ssize_t got = pread(l->pagemap, entries, n * sizeof entries[0], (off_t)(first * sizeof entries[0]));
    if (got != (ssize_t)(n * sizeof entries[0])) return true;
    for (size_t i = 0; i < n; i++)
        if (entries[i] >> 62 != 0) return true;
    return false;
}

static void settle(target *t);

static bool live_lives(target *t) {
    const live *l = t->own;
    settle(t);
    struct pollfd p = {.fd = l->pidfd, .events = POLLIN};
    if (l->pidfd >= 0) return poll(&p, 1, 0) == 0;
    return kill(t->pid, 0) == 0 || errno == EPERM;
}

static bool live_remap(target *t) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)t->pid);
    return target_read_maps(t, path);
}

/* ---- Threads ---- */

static size_t live_threads(target *t, pid_t *ids, size_t max) {
    char path[32];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)t->pid);
    DIR *d = opendir(path);
    if (d == NULL) return 0;
    for (const struct dirent *e; n < max && (e = readdir(d)) != NULL;) {
        long id = strtol(e->d_name, NULL, 10);
        if (id > 0) ids[n++] = (pid_t)id;
    }
    closedir(d);
    return n;
}

/* A file of a thread's below /proc, as a string. False where there is none. */
static bool thread_file(const target *t, pid_t thread, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)t->pid, (int)thread, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
    return n > 0;
}

/* proc(5): stat has the name in parentheses, which may hold any character, and then the state; syscall ends with the
 * stack and the instruction pointer, or is "running". */
static thread_state live_thread(target *t, pid_t thread, uint64_t *sp, uint64_t *ip) {
    char text[512];
    if (!thread_file(t, thread, "stat", text, sizeof text)) return THREAD_GONE;
    const char *state = strrchr(text, ')');
    if (state == NULL || state[1] != ' ') return THREAD_GONE;
    switch (state[2]) {
    case 'R': return THREAD_RUNS;
    case 'Z':
    case 'X': return THREAD_GONE;
    default: break;
    }
    bool stopped = state[2] == 'T' || state[2] == 't';
    if (!thread_file(t, thread, "syscall", text, sizeof text) || strncmp(text, "running", 7) == 0)
        return stopped ? THREAD_STOPPED : THREAD_RUNS;
    text[strcspn(text, "\n")] = '\0';
    char *last = strrchr(text, ' ');
    if (last == NULL) return THREAD_RUNS;
    *ip = strtoull(last + 1, NULL, 16);
    *last = '\0';
    last = strrchr(text, ' ');
    if (last == NULL) return THREAD_RUNS;
    *sp = strtoull(last + 1, NULL, 16);
    return stopped ? THREAD_STOPPED : THREAD_BLOCKS;
}

/* The number behind `key` in a file of lines "key: number". */
static bool number_of(const char *text, const char *key, uint64_t *number) {
    const char *at = strstr(text, key);
    char *end;
    if (at == NULL) return false;
    at += strlen(key);
    *number = strtoull(at, &end, 10);
    return end != at;
}

static bool live_thread_runs(target *t, pid_t thread, uint64_t *count) {
    char text[4096];
    uint64_t wanted, other;
    if (!thread_file(t, thread, "status", text, sizeof text)) return false;
    if (!number_of(text, "\nvoluntary_ctxt_switches:", &wanted)) return false;
    if (!number_of(text, "\nnonvoluntary_ctxt_switches:", &other)) return false;
    *count = wanted + other;
    return true;
}

/* ---- Stopping one ---- */

bool target_traced_regs(pid_t thread, target_regs *regs) {
    uint64_t words[TARGET_REGS_MAX];
    struct iovec to = {.iov_base = words, .iov_len = sizeof words};
    if (ptrace(PTRACE_GETREGSET, thread, other_pointer(NT_PRSTATUS), &to) != 0) return false;
    if (target_regs_from(TARGET_CPU_HERE, words, to.iov_len / sizeof words[0], regs)) return true;
    errno = ENOSYS; /* it runs as another kind of processor would (compat) */
    return false;
}

/* Wait until the thread stands. False where it ended, or does not come out of the kernel. */
static bool wait_stopped(target *t) {
    live *l = t->own;
    int status;
    uint64_t until = target_now_ns() + PATIENCE_NS, ran = t->stopped_at;
    for (int i = 0;; i++) {
        uint64_t now = target_now_ns();
        pid_t got = waitpid(l->thread, &status, __WALL | WNOHANG);
        if (got < 0 && errno != EINTR) break;
        if (got == l->thread) {
            if (!WIFSTOPPED(status)) break;
            l->stopped = true;
            t->stopped_at = ran; /* it may have stood since it was last seen not to */
            /* With an event it stands because of us; else a signal is about to be delivered. */
            if (status >> 16 == 0) l->signal = WSTOPSIG(status);
            return true;
        }
        ran = now;
        if (i < SPINS) continue;
        if (now > until) { /* it stays ours: it may still come */
            errno = ETIMEDOUT;
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    l->thread = 0;
    errno = ESRCH;
    return false;
}

/* Nobody is to take the processor from us while a thread stands. Only root may ask for that; others sleep before, so that
 * a new slice of time begins. Signals wait. */
static void hurry(live *l) {
    const struct sched_param p = {.sched_priority = 1};
    sigset_t all;
    sigfillset(&all);
    l->deaf = sigprocmask(SIG_SETMASK, &all, &l->mask) == 0;
    if (sched_getscheduler(0) != SCHED_OTHER) return;
    l->urgent = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p) == 0;
    if (!l->urgent) nanosleep(&(struct timespec){.tv_nsec = 1500000}, NULL);
}

/* As long as a thread may still come to stand, this process must not be stopped itself. */
static void calm_down(live *l) {
    const struct sched_param p = {.sched_priority = 0};
    int kept = errno;
    if (l->urgent) sched_setscheduler(0, SCHED_OTHER, &p);
    l->urgent = false;
    if (l->deaf) {
        sigset_t mask = l->mask;
        if (l->thread != 0) {
            sigaddset(&mask, SIGTSTP);
            sigaddset(&mask, SIGTTIN);
            sigaddset(&mask, SIGTTOU);
        }
        sigprocmask(SIG_SETMASK, &mask, NULL);
        l->deaf = l->thread != 0;
    }
    errno = kept;
}

/* The longest of the stops since live_stop() counts. */
static void note_stop(target *t) {
    uint64_t ns = target_now_ns() - t->stopped_at;
    if (ns > t->stopped_ns) t->stopped_ns = ns;
}

/* A thread that was killed meanwhile cannot be detached: it stays ours until it has been waited for, and whoever started
 * it does not hear of its end before. */
static void let_go(target *t) {
    live *l = t->own;
    if (ptrace(PTRACE_DETACH, l->thread, NULL, other_pointer((uint64_t)l->signal)) == 0 || errno != ESRCH)
        l->thread = 0;
    l->stopped = false;
    l->signal = 0;
    note_stop(t);
    calm_down(l);
}

/* What was left behind: a thread that did not come out of the kernel when it was to stop, and may have come since, or one
 * that was killed. */
static void settle(target *t) {
    live *l = t->own;
    int status;
    if (l->thread == 0 || l->stopped) return;
    pid_t got = waitpid(l->thread, &status, __WALL | WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return;
    if (got == l->thread && WIFSTOPPED(status)) {
        l->signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
        let_go(t);
        return;
    }
    l->thread = 0;
    calm_down(l);
}

static bool live_stop(target *t, pid_t thread, target_regs *regs) {
    live *l = t->own;
    settle(t);
    if (l->thread != 0) { /* it does not come out of the kernel yet */
        errno = ETIMEDOUT;
        return false;
    }
    errno = 0;
    hurry(l);
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0) {
        calm_down(l);
        return false;
    }
    l->thread = thread;
    t->stopped_at = target_now_ns();
    t->stopped_ns = 0;
    bool asked = ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0 || errno == ESRCH;
    bool stands = asked && wait_stopped(t);
    if (stands && target_traced_regs(thread, regs)) return true;
    int reason = errno;
    if (stands) let_go(t);
    calm_down(l);
    errno = reason;
    return false;
}

static bool live_run_on(target *t, unsigned us, target_regs *regs) {
    live *l = t->own;
    if (!l->stopped || l->signal != 0) return false;
    l->stopped = false;
    if (ptrace(PTRACE_CONT, l->thread, NULL, NULL) != 0) {
        l->stopped = true;
        return false;
    }
    note_stop(t);
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
    t->stopped_at = target_now_ns();
    if (ptrace(PTRACE_INTERRUPT, l->thread, NULL, NULL) != 0 && errno != ESRCH) return false;
    return wait_stopped(t) && target_traced_regs(l->thread, regs);
}

static void live_resume(target *t) {
    live *l = t->own;
    if (l->stopped) let_go(t);
    settle(t);
    calm_down(l);
}

/* ---- Opening ---- */

static void live_close(target *t) {
    live *l = t->own;
    if (l == NULL) return;
    live_resume(t);
    if (l->deaf) sigprocmask(SIG_SETMASK, &l->mask, NULL);
    if (l->pidfd >= 0) close(l->pidfd);
    if (l->pagemap >= 0) close(l->pagemap);
    free(t->own);
}

static const target_ops LIVE = {.read = live_read,
                                .touched = live_touched,
                                .lives = live_lives,
                                .remap = live_remap,
                                .threads = live_threads,
                                .thread = live_thread,
                                .thread_runs = live_thread_runs,
                                .stop = live_stop,
                                .run_on = live_run_on,
                                .resume = live_resume,
                                .close = live_close};

/* Whether memory can be read; the first word of some mapping is as good as any, but one that was never written to would
 * be made for it: files first. */
static target_error try_reading(target *t) {
    for (int anonymous = 0; anonymous < 2; anonymous++) {
        for (size_t i = 0; i < t->n_maps; i++) {
            const target_map *m = &t->maps[i];
            uint64_t word;
            if (!m->readable || m->path[0] == '[' || (m->path[0] == '\0') != (anonymous == 1)) continue;
            if (live_read(t, m->start, &word, sizeof word) == sizeof word) return TARGET_OK;
            if (errno == EPERM || errno == EACCES) return TARGET_NO_PERMISSION;
            if (errno == ESRCH) return TARGET_NO_PROCESS;
        }
    }
    return TARGET_FAILED;
}

/* Whether the program is one for another kind of processor, as a 32-bit one is. Its memory says so, where its file begins:
 * the file itself may lie on a disk that does not answer. Where that is not mapped, it is taken for one of ours. */
static bool is_foreign(target *t) {
    const target_cpu here = TARGET_CPU_HERE;
    const unsigned machine = here == CPU_X64 ? EM_X86_64 : EM_AARCH64;
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)t->pid);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    for (size_t i = 0; i < t->n_maps; i++) {
        const target_map *m = &t->maps[i];
        Elf64_Ehdr head;
        if (m->offset != 0 || strcmp(m->path, path) != 0) continue;
        return live_read(t, m->start, &head, sizeof head) == sizeof head &&
               memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
               (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != machine);
    }
    return false;
}

static size_t page_size(void) {
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : TARGET_PAGE;
}

target *target_open(pid_t pid, target_error *error) {
    target *t = target_new(&LIVE, pid);
    *error = TARGET_NO_MEMORY;
    if (t == NULL) return NULL;
    t->own = calloc(1, sizeof(live));
    if (t->own != NULL) {
        char path[40];
        snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
        *(live *)t->own = (live){.pagemap = open(path, O_RDONLY | O_CLOEXEC),
                                 .page = page_size(),
                                 .pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* short sleeps while a thread stands are to be short */
        errno = 0;
        if (live_remap(t)) {
            *error = try_reading(t);
            if (*error == TARGET_OK && is_foreign(t)) *error = TARGET_FOREIGN;
        } else {
            *error = errno == ENOENT || errno == ESRCH   ? TARGET_NO_PROCESS
                     : errno == EACCES || errno == EPERM ? TARGET_NO_PERMISSION
                                                         : TARGET_FAILED;
        }
    }
    if (*error == TARGET_OK) return t;
    int kept = errno;
    target_close(t);
    errno = kept;
    return NULL;
}

bool target_is_core(const target *t) {
    return t->ops != &LIVE;
}
