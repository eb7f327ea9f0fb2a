#include "pipe_guard.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static void only_pipe(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

void pipe_guard_begin(pipe_guard *g) {
    sigset_t pipe, pending;
    g->error = errno;
    only_pipe(&pipe);
    g->on = pthread_sigmask(SIG_BLOCK, &pipe, &g->before) == 0;
    /* Where the host blocks it, one may be pending already: then another makes no difference. */
    if (g->on && sigismember(&g->before, SIGPIPE) == 1)
        g->on = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0;
}

void pipe_guard_end(const pipe_guard *g) {
    const struct timespec none = {.tv_sec = 0};
    sigset_t pipe;
    if (g->on) {
        only_pipe(&pipe);
        while (sigtimedwait(&pipe, NULL, &none) < 0 && errno == EINTR) {
        }
        (void)pthread_sigmask(SIG_SETMASK, &g->before, NULL);
    }
    errno = g->error;
}
