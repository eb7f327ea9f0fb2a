/*
 * The file watcher: see watch.h for what it reports, watch_path.h for what it listens to.
 *
 * Why no change is lost: the state is looked at after the watches for the very way that was looked at are in place
 * (sync), and it is looked at before it is reported (check). So whatever the reader of a report may have missed comes
 * later than a look, and thus sends an event or differs at the next look.
 *
 * Why fork() is safe: all memory is one block, allocated before the thread starts; the child finds no lock held and
 * no list half changed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "own_fd.h"
#include "own_threads.h"
#include "watch_path.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

#define DELAY_MIN_MS 10
#define DELAY_MAX_MS 86400000
#define QUIET_MS 50        /* so long without an event, and a file counts as written */
#define QUIET_LIMIT_MS 500 /* but no longer than this after the first event */
#define WAKE_PAUSE_MAX_MS 50
#define WAKE_IDLE_PAUSE_MS 1000 /* once it has been asked for this long in vain: the VM does nothing at all */
#define WAKE_IDLE_AFTER_MS 2000
#define RETRY_MS 20 /* the way changed while watches were put on it, again and again */
#define SYNC_ROUNDS 8
#define READS_AT_ONCE 16 /* of a queue that fills as fast as it is read */
#define STACK_SIZE ((size_t)256 * 1024)

/* No IN_MODIFY: it would wake us for each write to any file of a busy directory. The watch on the file has it. */
#define HOLDER_MASK                                                                                      \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | \
     IN_MOVE_SELF | IN_EXCL_UNLINK | IN_ONLYDIR | IN_DONT_FOLLOW)
#define PASSED_MASK (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW)
#define FILE_MASK (IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW)

/* What events ask for. */
#define SEEN_NOW 1u     /* look, and report what there is to report */
#define SEEN_SOON 2u    /* the same when it has become quiet */
#define SEEN_WRITTEN 4u /* there is something to report, even if stat should not tell */
#define SEEN_MOVED 8u   /* watches may have gone or may lie on other directories than they should */

#define KIND_SIZE 64
#define OWN_MARK 61

struct watcher {
    /* Set before the thread starts. */
    char *path;
    int delay_ms;
    bool poll_only;
    watch_wake_fn wake;
    void *owner;
    pthread_t thread;
    pid_t pid;             /* two signs of fork(), as either can fail: a pid may come back, */
    unsigned char *parent; /* an old kernel does not clear this page in a child; may be NULL */
    size_t parent_size;

    /* Shared. */
    atomic_bool stopping;
    atomic_bool waiting; /* a report waits to be taken */
    atomic_uint reports;
    atomic_int error;          /* why inotify is not used for all, or 0 */
    atomic_int stop_fd;        /* -1 when the host has closed it behind our back */
    char stop_kind[KIND_SIZE]; /* set before the thread starts */

    /* The thread's. */
    int inotify_fd; /* -1 when polling */
    char inotify_kind[KIND_SIZE];
    watch_state known; /* the last one reported, or the one at the start */
    bool written;      /* SEEN_WRITTEN, not reported yet */
    int64_t report_at; /* when a change that settles is reported, 0 for none; all times in ms, monotonic */
    int64_t report_by; /* at the latest */
    int64_t look_at;   /* when to look whatever the system says */
    int64_t wake_at;   /* when to call `wake` while a report waits */
    int wake_pause_ms;
    int64_t waiting_since;
    watch_plan *plan; /* in force: its nodes have watch descriptors */
    watch_plan *spare;
    watch_plan plans[2];
};

static int64_t now_ms(void) {
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool is_forked(const watcher *w) {
    return w->pid != getpid() || (w->parent != NULL && *w->parent == 0);
}

/* Mark an open file as ours: the signal that it would send if it were asked to send any, which it is not. A host may have
 * notifications and events of its own, which /proc calls what it calls ours. Where that fails, what /proc says must do. */
static void mark_ours(int fd) {
    (void)fcntl(fd, F_SETSIG, OWN_MARK);
}

/* What /proc says of a descriptor, where there is one; kernels differ in it; and its mark, which not all descriptors have.
 * Empty where nothing is open. */
static void read_kind(int fd, char kind[KIND_SIZE]) {
    char path[64];
    char text[KIND_SIZE - 16];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t got = readlink(path, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    kind[0] = '\0';
    if (fcntl(fd, F_GETFD) >= 0) {
        (void)snprintf(kind, KIND_SIZE, "%s %d", text, fcntl(fd, F_GETSIG));
    }
}

/* A host may close all descriptors that it does not know, and then the numbers are those of its own files: what it has there
 * must not be read, written or closed. False when the descriptor is known to be another file; `kind` is what was read of
 * ours when it was made. */
static bool may_be_ours(int fd, const char *kind) {
    char now[KIND_SIZE];
    read_kind(fd, now);
    return now[0] == '\0' || strcmp(now, kind) == 0; /* nothing is open there, and using it fails */
}

static void close_ours(int fd, const char *kind) {
    if (fd >= 0 && may_be_ours(fd, kind)) {
        (void)close(fd);
    }
}

/* Whether all is notified; a change of that is reported, for the log. */
static void set_error(watcher *w, int error) {
    if (atomic_exchange(&w->error, error) != error) {
        w->written = true;
    }
}

/* For now inotify is of no use; it is tried again at the next look. The descriptor is not closed: most likely the host did,
 * and the number is another file's by now. */
static void give_up_inotify(watcher *w, int error) {
    set_error(w, error);
    w->inotify_fd = -1;
    watch_plan_clear(w->plan);
}

/* False when there is no inotify to be had; the reason is in w->error. */
static bool has_inotify(watcher *w, bool try_again) {
    if (w->inotify_fd >= 0 && !may_be_ours(w->inotify_fd, w->inotify_kind)) {
        give_up_inotify(w, EBADF);
    }
    if (w->inotify_fd < 0 && !w->poll_only && try_again) {
        w->inotify_fd = own_fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (w->inotify_fd < 0) {
            set_error(w, errno);
        } else {
            mark_ours(w->inotify_fd);
            read_kind(w->inotify_fd, w->inotify_kind);
        }
    }
    return w->inotify_fd >= 0;
}

/* Put the watches of w->spare in place, take away those that only w->plan has, and exchange the two. Putting a watch
 * where there is one is harmless: the kernel finds it again by inode. False when the descriptor is not ours any more. */
static bool rewatch(watcher *w) {
    static const uint32_t masks[] = {
        [WATCH_PASSED] = PASSED_MASK, [WATCH_HOLDER] = HOLDER_MASK, [WATCH_FILE] = FILE_MASK};
    watch_plan *from = w->plan;
    watch_plan *to = w->spare;
    int error = to->error;

    for (size_t i = 0; i < to->node_count; i++) {
        watch_node *node = &to->nodes[i];
        node->wd = inotify_add_watch(w->inotify_fd, node->path, masks[node->kind]);
        if (node->wd < 0 && (errno == EBADF || errno == EINVAL)) {
            give_up_inotify(w, EBADF);
            return false;
        }
        if (node->wd < 0 && (node->kind == WATCH_HOLDER || errno == ENOSPC || errno == ENOMEM)) {
            error = errno;
        }
    }
    for (size_t i = 0; i < from->node_count; i++) {
        int wd = from->nodes[i].wd;
        if (wd >= 0 && !watch_plan_has_wd(to, wd)) {
            (void)inotify_rm_watch(w->inotify_fd, wd); /* EINVAL: the directory has gone, and its watch with it */
        }
    }
    set_error(w, error);
    w->plan = to;
    w->spare = from;
    return true;
}

/* The present state, looked at when all watches for it were in place. With `anew` the watches in force are not
 * trusted, nor is it believed that there can be none. */
static watch_state sync_watches(watcher *w, bool anew) {
    if (!has_inotify(w, anew)) {
        return watch_look(w->path);
    }
    anew = anew || watch_plan_has_wd(w->plan, -1);
    for (int round = 0; round < SYNC_ROUNDS; round++) {
        watch_plan_make(w->spare, w->path);
        if (!anew && watch_plan_equal(w->plan, w->spare)) {
            return w->spare->state;
        }
        anew = false;
        if (!rewatch(w)) {
            return watch_look(w->path);
        }
    }
    int64_t retry_at = now_ms() + RETRY_MS;
    if (w->look_at > retry_at) {
        w->look_at = retry_at;
    }
    return w->plan->state;
}

/* What an event about `name` in a holder asks for. */
static unsigned name_event(const watch_plan *plan, const watch_name *name, uint32_t mask) {
    unsigned seen = SEEN_SOON;
    bool arrived = (mask & (IN_CREATE | IN_MOVED_TO)) != 0;

    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0) {
        seen = SEEN_NOW;
    } else if (arrived) {
        /* A link is complete when it is there, and nobody will close it. */
        seen = watch_name_is_link(plan, name) ? SEEN_NOW : SEEN_SOON;
    }
    if (name->kind == WATCH_NAME_FILE && (arrived || (mask & IN_CLOSE_WRITE) != 0)) {
        seen |= SEEN_WRITTEN;
    }
    return seen;
}

/* What an event asks for; 0 when it is about a name that does not matter, or a watch that is no more. */
static unsigned event_seen(const watcher *w, const struct inotify_event *event) {
    unsigned seen = 0;

    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        return SEEN_NOW | SEEN_WRITTEN | SEEN_MOVED;
    }
    for (size_t i = 0; i < w->plan->node_count; i++) {
        const watch_node *node = &w->plan->nodes[i];
        if (node->wd != event->wd) {
            continue;
        }
        if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
            seen |= SEEN_SOON | SEEN_MOVED;
        } else if (node->kind == WATCH_FILE) {
            seen |= (event->mask & IN_CLOSE_WRITE) != 0 ? SEEN_NOW : SEEN_SOON;
            seen |= (event->mask & (IN_CLOSE_WRITE | IN_MODIFY)) != 0 ? SEEN_WRITTEN : 0;
        } else if (event->len == 0) {
            seen |= SEEN_SOON;
        } else {
            for (size_t n = 0; n < w->plan->name_count; n++) {
                const watch_name *name = &w->plan->names[n];
                if (name->node == i && strcmp(name->name, event->name) == 0) {
                    seen |= name_event(w->plan, name, event->mask);
                }
            }
        }
    }
    return seen;
}

static unsigned read_events(watcher *w) {
    _Alignas(struct inotify_event) char buffer[4096];
    unsigned seen = 0;

    for (int i = 0; i < READS_AT_ONCE; i++) {
        if (!may_be_ours(w->inotify_fd, w->inotify_kind)) {
            give_up_inotify(w, EBADF);
            return SEEN_NOW;
        }
        ssize_t got = read(w->inotify_fd, buffer, sizeof(buffer));
        if (got <= 0) {
            if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                give_up_inotify(w, got == 0 ? EBADF : errno);
                seen |= SEEN_NOW;
            }
            break;
        }
        for (const char *p = buffer; p < buffer + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            seen |= event_seen(w, event);
            p += sizeof(*event) + event->len;
        }
    }
    return seen;
}

/* Sleep until something is due, an event has come or the thread is to stop; what the events ask for. A host that
 * closes all descriptors it does not know must not turn this into a busy loop. */
static unsigned wait_for_events(watcher *w) {
    int64_t until = w->look_at;
    if (w->report_at != 0 && w->report_at < until) {
        until = w->report_at;
    }
    if (w->wake != NULL && atomic_load(&w->waiting) && w->wake_at < until) {
        until = w->wake_at;
    }
    int64_t timeout = until - now_ms();
    int stop_fd = atomic_load(&w->stop_fd);
    if (stop_fd < 0 && timeout > WAKE_PAUSE_MAX_MS) {
        timeout = WAKE_PAUSE_MAX_MS;
    }

    struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN}, {.fd = w->inotify_fd, .events = POLLIN}};
    int ready = poll(fds, 2, timeout < 0 ? 0 : (int)timeout);
    if (ready < 0 && errno != EINTR) {
        struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    if (ready <= 0) {
        return 0;
    }
    if (fds[0].revents != 0 && !atomic_load(&w->stopping)) {
        atomic_store(&w->stop_fd, -1); /* closed, or another file by now: ours is readable when it is time to stop */
    }
    if ((fds[1].revents & POLLIN) != 0) {
        return read_events(w);
    }
    if (fds[1].revents != 0) {
        give_up_inotify(w, EBADF);
        return SEEN_NOW;
    }
    return 0;
}

/* Look, and report unless a change is settling or there is nothing to report. */
static void check(watcher *w, bool anew) {
    watch_state state = sync_watches(w, anew);
    int64_t now = now_ms();

    if (w->report_at > now) {
        return;
    }
    bool changed = !watch_state_equal(state, w->known);
    if (w->written || changed) {
        w->known = state;
        atomic_fetch_add(&w->reports, 1);
        atomic_store(&w->waiting, true);
        w->waiting_since = w->wake_at = now;
        w->wake_pause_ms = 1;
    }
    /* Without events a second change within the tick of the clock that stamped this one would look like none: report
     * once more at the next look. */
    w->written = changed && w->inotify_fd < 0;
    w->report_at = 0;
}

static void keep_waking(watcher *w) {
    if (w->wake == NULL || !atomic_load(&w->waiting) || now_ms() < w->wake_at) {
        return;
    }
    w->wake(w->owner);
    int64_t now = now_ms();
    int longest = now - w->waiting_since > WAKE_IDLE_AFTER_MS ? WAKE_IDLE_PAUSE_MS : WAKE_PAUSE_MAX_MS;
    w->wake_at = now + w->wake_pause_ms;
    w->wake_pause_ms = w->wake_pause_ms * 2 < longest ? w->wake_pause_ms * 2 : longest;
}

static void *watch_run(void *arg) {
    watcher *w = arg;

    own_thread_begins();
    (void)pthread_setname_np(pthread_self(), "ljinspect-watch"); /* for those who list threads; all goes well without */
    while (!atomic_load(&w->stopping)) {
        unsigned seen = wait_for_events(w);
        int64_t now = now_ms();
        bool look = now >= w->look_at;

        if (look) {
            int stop_fd = atomic_load(&w->stop_fd);
            w->look_at = now + w->delay_ms;
            if (stop_fd >= 0 && !may_be_ours(stop_fd, w->stop_kind)) {
                atomic_store(&w->stop_fd, -1);
            }
        }
        if ((seen & SEEN_WRITTEN) != 0) {
            w->written = true;
        }
        if ((seen & SEEN_NOW) != 0) {
            w->report_at = now;
        } else if ((seen & SEEN_SOON) != 0) {
            if (w->report_at == 0) {
                w->report_by = now + QUIET_LIMIT_MS;
            }
            w->report_at = now + QUIET_MS < w->report_by ? now + QUIET_MS : w->report_by;
        }
        if (look || seen != 0 || (w->report_at != 0 && now >= w->report_at)) {
            check(w, look || (seen & SEEN_MOVED) != 0);
        }
        keep_waking(w);
    }
    own_thread_ends();
    return NULL;
}

/* Create the thread with all signals blocked: it inherits the mask of its creator. */
static int start_thread(watcher *w) {
    pthread_attr_t attr;
    sigset_t all;
    sigset_t old;
    long min = sysconf(_SC_THREAD_STACK_MIN);
    size_t stack = min > 0 && (size_t)min > STACK_SIZE ? (size_t)min : STACK_SIZE;

    (void)own_threads_prepare();
    int error = pthread_attr_init(&attr);
    if (error != 0) {
        return -error;
    }
    error = pthread_attr_setstacksize(&attr, stack);
    if (error != 0) {
        goto out_attr;
    }
    (void)sigfillset(&all);
    error = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (error != 0) {
        goto out_attr;
    }
    error = pthread_create(&w->thread, &attr, watch_run, w);
    if (error == EINVAL) {
        /* glibc takes thread-local storage out of the stack; a host may have so much of it that nothing is left. */
        error = pthread_create(&w->thread, NULL, watch_run, w);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
out_attr:
    (void)pthread_attr_destroy(&attr);
    return -error;
}

/* A page that reads 1 here and 0 in every child; none where the kernel cannot. */
static void mark_parent(watcher *w) {
    long size = sysconf(_SC_PAGESIZE);
    if (size <= 0) {
        return;
    }
    void *page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, (size_t)size, MADV_WIPEONFORK) != 0) {
        (void)munmap(page, (size_t)size);
        return;
    }
    w->parent = page;
    w->parent_size = (size_t)size;
    *w->parent = 1;
}

static void unmark_parent(watcher *w) {
    if (w->parent != NULL) {
        (void)munmap(w->parent, w->parent_size);
    }
}

int watch_start(const watch_options *options, watcher **out) {
    *out = NULL;
    if (options->path == NULL || options->path[0] != '/' || options->delay_ms < DELAY_MIN_MS ||
        options->delay_ms > DELAY_MAX_MS) {
        return -EINVAL;
    }

    int error;
    watcher *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return -ENOMEM;
    }
    w->delay_ms = options->delay_ms;
    w->poll_only = options->poll_only;
    w->wake = options->wake;
    w->owner = options->owner;
    w->pid = getpid();
    w->plan = &w->plans[0];
    w->spare = &w->plans[1];
    w->inotify_fd = -1;
    w->path = strdup(options->path);
    if (w->path == NULL) {
        error = -ENOMEM;
        goto fail_path;
    }
    int stop_fd = own_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (stop_fd < 0) {
        error = -errno;
        goto fail_stop_fd;
    }
    mark_ours(stop_fd);
    read_kind(stop_fd, w->stop_kind);
    atomic_store(&w->stop_fd, stop_fd);
    mark_parent(w);
    w->look_at = now_ms() + w->delay_ms;
    w->known = sync_watches(w, true);
    w->written = false; /* whoever starts it asks for the mode */
    error = start_thread(w);
    if (error != 0) {
        goto fail_thread;
    }
    *out = w;
    return 0;

fail_thread:
    unmark_parent(w);
    close_ours(w->inotify_fd, w->inotify_kind);
    close_ours(stop_fd, w->stop_kind);
fail_stop_fd:
    free(w->path);
fail_path:
    free(w);
    return error;
}

void watch_stop(watcher *w) {
    if (w == NULL) {
        return;
    }
    if (!is_forked(w)) {
        /* The flag alone would do, in the end; the descriptor cuts the wait short. */
        uint64_t one = 1;
        int stop_fd = atomic_load(&w->stop_fd);
        atomic_store(&w->stopping, true);
        if (stop_fd >= 0 && may_be_ours(stop_fd, w->stop_kind)) {
            (void)!write(stop_fd, &one, sizeof(one));
        }
        (void)pthread_join(w->thread, NULL);
        /* A child that still has the descriptor would keep the watches alive. A child itself must not do this: they
         * belong to the queue that it shares with its parent. */
        bool ours = w->inotify_fd >= 0 && may_be_ours(w->inotify_fd, w->inotify_kind);
        for (size_t i = 0; ours && i < w->plan->node_count; i++) {
            if (w->plan->nodes[i].wd >= 0) {
                (void)inotify_rm_watch(w->inotify_fd, w->plan->nodes[i].wd);
            }
        }
    }
    unmark_parent(w);
    close_ours(w->inotify_fd, w->inotify_kind);
    close_ours(atomic_load(&w->stop_fd), w->stop_kind);
    free(w->path);
    free(w);
}

bool watch_waiting(const watcher *w) {
    return atomic_load_explicit(&w->waiting, memory_order_acquire);
}

bool watch_take(watcher *w) {
    return atomic_exchange(&w->waiting, false);
}

unsigned watch_reports(const watcher *w) {
    return atomic_load(&w->reports);
}

enum watch_mode watch_mode(const watcher *w) {
    if (is_forked(w)) {
        return WATCH_FORKED;
    }
    return w->poll_only || atomic_load(&w->error) != 0 ? WATCH_POLLING : WATCH_INOTIFY;
}

int watch_inotify_errno(const watcher *w) {
    return atomic_load(&w->error);
}
