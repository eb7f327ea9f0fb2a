#include "hold.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "target_ops.h"

enum { THREADS_MAX = 65536, ROUNDS_MAX = 100, PATIENCE_NS = 200000000 };

/*
 * Threads that have not come out of the kernel when the others go on: they stand as soon as they do, which may be long after,
 * while the copy is worked on. SIGCHLD tells of it, and lets them go.
 */
enum { LATE_MAX = 256 };
static volatile pid_t late[LATE_MAX];

/* Let a thread go that stands by now. False: it does not yet, or was killed and has not been waited for. */
static bool went(pid_t id) {
    int status;
    pid_t got = waitpid(id, &status, __WALL | WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    if (got < 0 || !WIFSTOPPED(status)) return true;
    void *signal;
    /* With an event it stands because of us; else a signal is about to be delivered. */
    uint64_t number = status >> 16 == 0 ? (uint64_t)WSTOPSIG(status) : 0;
    memcpy(&signal, &number, sizeof signal);
    return ptrace(PTRACE_DETACH, id, NULL, signal) == 0 || errno != ESRCH;
}

static void let_late_go(int number) {
    int kept = errno;
    (void)number;
    for (size_t i = 0; i < LATE_MAX; i++)
        if (late[i] != 0 && went(late[i])) late[i] = 0;
    errno = kept;
}

/* Signals are blocked meanwhile. More of them than there is room for stand until this process ends. */
static void leave_late(const hold *h) {
    const struct sigaction action = {.sa_handler = let_late_go, .sa_flags = SA_RESTART};
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (h->threads[i].stands || h->threads[i].id == 0) continue;
        while (n < LATE_MAX && late[n] != 0) n++;
        if (n < LATE_MAX) late[n] = h->threads[i].id;
    }
    sigaction(SIGCHLD, &action, NULL);
    let_late_go(0); /* it may have happened before the handler was there */
}

static bool is_held(const hold *h, pid_t id) {
    for (size_t i = h->n; i-- > 0;)
        if (h->threads[i].id == id) return true;
    return false;
}

static bool add(hold *h, pid_t id) {
    if (h->n == h->max) {
        size_t more = h->max == 0 ? 16 : 2 * h->max;
        held_thread *longer = realloc(h->threads, more * sizeof *longer);
        if (longer == NULL) return false;
        h->threads = longer;
        h->max = more;
    }
    h->threads[h->n++] = (held_thread){.id = id};
    return true;
}

/* Seize what is not held yet. Returns how many these were; -1 with errno. */
static int seize_new(hold *h, target *t, pid_t *ids) {
    size_t n = target_threads(t, ids, THREADS_MAX);
    int new = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_held(h, ids[i])) continue;
        if (ptrace(PTRACE_SEIZE, ids[i], NULL, NULL) != 0) {
            int reason = errno;
            uint64_t sp, ip;
            if (reason == ESRCH || target_thread(t, ids[i], &sp, &ip) == THREAD_GONE) continue;
            errno = reason;
            return -1;
        }
        if (!add(h, ids[i])) {
            errno = ENOMEM;
            return -1;
        }
        ptrace(PTRACE_INTERRUPT, ids[i], NULL, NULL); /* fails where the thread is ending */
        new ++;
    }
    return new;
}

/* True once it stands or has ended. */
static bool wait_for(held_thread *th) {
    int status;
    pid_t got = waitpid(th->id, &status, __WALL | WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    if (got < 0 || !WIFSTOPPED(status)) { /* it has ended */
        th->id = 0;
        return true;
    }
    th->stands = true;
    /* With an event it stands because of us; else a signal is about to be delivered. */
    if (status >> 16 == 0) th->signal = WSTOPSIG(status);
    return true;
}

static unsigned wait_all(hold *h) {
    uint64_t until = target_now_ns() + PATIENCE_NS;
    for (;;) {
        unsigned missing = 0;
        for (size_t i = 0; i < h->n; i++)
            if (h->threads[i].id != 0 && !h->threads[i].stands) missing += !wait_for(&h->threads[i]);
        if (missing == 0 || target_now_ns() > until) return missing;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

bool hold_begin(hold *h, target *t) {
    int new = 1;
    sigset_t all;
    *h = (hold){.n = 0};
    pid_t *ids = malloc(THREADS_MAX * sizeof *ids);
    if (ids == NULL) {
        errno = ENOMEM;
        return false;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &h->mask);
    h->since_ns = target_now_ns();
    /* Threads that run may start others: until there are no new ones. */
    for (int i = 0; new > 0 && i < ROUNDS_MAX; i++) {
        new = seize_new(h, t, ids);
        if (new > 0) h->missing = wait_all(h);
    }
    int reason = new > 0 ? EAGAIN : errno;
    free(ids);
    if (new == 0 && h->n > 0) {
        for (size_t i = 0; i < h->n; i++) {
            held_thread *th = &h->threads[i];
            th->has_regs = th->stands && target_traced_regs(th->id, &th->regs);
        }
        return true;
    }
    hold_end(h);
    errno = new == 0 ? ESRCH : reason;
    return false;
}

/* Threads that were killed while they stood, of which whoever started them does not hear before we do, and late ones. */
static void wait_ended(hold *h) {
    uint64_t until = target_now_ns() + PATIENCE_NS;
    for (size_t i = 0; i < h->n; i++) {
        held_thread *th = &h->threads[i];
        while (!th->stands && th->id != 0) {
            if (went(th->id)) th->id = 0;
            if (th->id == 0 || target_now_ns() > until) break;
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
}

uint64_t hold_end(hold *h) {
    if (h->missing > 0) wait_all(h);
    for (size_t i = 0; i < h->n; i++) {
        void *signal;
        uint64_t number = (uint64_t)h->threads[i].signal;
        memcpy(&signal, &number, sizeof signal);
        if (h->threads[i].stands && ptrace(PTRACE_DETACH, h->threads[i].id, NULL, signal) != 0)
            h->threads[i].stands = false; /* it was killed: it is ours until it has been waited for */
    }
    uint64_t ns = target_now_ns() - h->since_ns;
    wait_ended(h);
    leave_late(h);
    sigprocmask(SIG_SETMASK, &h->mask, NULL);
    free(h->threads);
    *h = (hold){0};
    return ns;
}
