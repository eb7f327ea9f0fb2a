#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "target_ops.h"

enum { THREADS_MAX = 65536, ROUNDS_MAX = 100, PATIENCE_NS = 200000000 };

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

/* Threads that were killed while they stood: whoever started them does not hear of it before we do. */
static void wait_ended(const hold *h) {
    uint64_t until = target_now_ns() + PATIENCE_NS;
    for (size_t i = 0; i < h->n; i++) {
        int status;
        if (h->threads[i].stands || h->threads[i].id == 0) continue;
        while (waitpid(h->threads[i].id, &status, __WALL | WNOHANG) == 0 && target_now_ns() < until)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
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
    sigprocmask(SIG_SETMASK, &h->mask, NULL);
    free(h->threads);
    *h = (hold){0};
    return ns;
}
