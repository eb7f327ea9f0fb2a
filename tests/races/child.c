/* fork() amid all that: the child has one thread, the VM of that, and whatever the other threads left behind. */
#include "races.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/sanitizers.h"
#include "ljinspect.h"

static int keep(ljinspect_hit *hit, void *userdata) {
    (void)hit;
    ++*(int *)userdata;
    return LJINSPECT_KEEP;
}

/* What it could not do, or 0. */
static int live_as_child(const vm_place *p, unsigned with) {
    ljinspect_status s;
    int hits = 0;
    const ljinspect_filter f = {.kind = LJINSPECT_FILTER_C, .call = keep, .userdata = &hits, .lasting = 1};
#ifdef THREAD_SANITIZER /* it lets no child of a process with threads start one: no watcher, no writer of a sink */
    if (ljinspect_unwatch(p->L) < 0 || ljinspect_unset_all(p->L) < 0) return 8;
#endif
    if (ljinspect_get_status(p->L, &s) != 0) return 1;
    if (with % 2 == 0) vm_check(p->L);
    if (with % 3 == 0) (void)ljinspect_poll(p->L); /* the file may be wrong */
    int64_t id = ljinspect_set_hook(p->L, "races.lua", 6, 0, &f);
    if (id <= 0) return 2;
    vm_check(p->L);
    if (hits != 2) return 3; /* sum() is called by two cases */
#ifndef THREAD_SANITIZER     /* it lets no child of a process with threads start one */
    if (with % 5 == 0 && ljinspect_watch(p->L, path_of("hooks.lua", with % FILES), 0.02, 0) != 0) return 4;
#endif
    if (with % 7 == 0 && ljinspect_unwatch(p->L) < 0) return 5;
    if (with % 4 == 0) _exit(0); /* with all as it is */
    if (ljinspect_unset_id(p->L, id) != 1) return 6;
    /* Another engine, as for a new VM. New VMs, and closing this one, are LuaJIT's: it registers its code with libgcc, whose lock
     * another thread may have held at fork() (unwind-dw2-fde.c: object_mutex; a child that waits for it for ever was seen). */
    if (ljinspect_unwatch(p->L) < 0 || ljinspect_unset_all(p->L) < 0) return 7;
    const char *const engines[] = {"line", "trap", NULL};
    for (int i = 0; i < 3 && only_engine == NULL; i++) {
        if (ljinspect_set_engine(p->L, engines[i]) != 0) return 9;
        id = ljinspect_set_hook(p->L, "races.lua", 6, 0, &f);
        vm_check(p->L);
        if (id <= 0 || hits != 2 * (i + 2) || ljinspect_unset_id(p->L, id) != 1) return 10;
    }
    return 0;
}

void fork_child(vm_place *p, dice *d, history *h) {
    unsigned with = throw_dice(d, 1 << 20);
#ifdef ADDRESS_SANITIZER
    /* Its malloc() does not let go of the locks that other threads held at fork(): tried with gcc 12, a child waits for ever. */
    (void)p, (void)h, (void)with, (void)live_as_child;
    return;
#endif
    pthread_rwlock_wrlock(&in_lua);
    pid_t child = fork();
    if (child != 0) pthread_rwlock_unlock(&in_lua);
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        alarm(DEADLINE_S);
        _exit(live_as_child(p, with));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR, "waitpid: %s", strerror(errno));
    note_choice(h, "child", p->number, with);
    CHECK(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM, "a child of VM %u came to no end", p->number);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child of VM %u: status 0x%x", p->number, status);
    atomic_fetch_add(&total.children, 1);
}
