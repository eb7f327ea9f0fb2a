#include "watch_share.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "at_fork.h"
#include "own_threads.h"

typedef struct hub {
    watcher *watcher;
    char *path;
    int delay_ms;
    bool poll_only;
    bool lasting; /* a share has asked for that */
    watch_share *first;
    struct hub *next;
} hub;

struct watch_share {
    hub *hub;
    watch_wake_fn wake; /* NULL: the reports are asked for */
    void *owner;
    atomic_uint seen; /* watch_reports() at the last take */
    watch_share *prev, *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the hubs, and their lists */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static hub *hubs;
static hub *idle; /* one of `hubs`, without shares, or NULL */
static bool fork_safe;

static void take_lock(void) {
    pthread_mutex_lock(&lock);
}

static void leave_lock(void) {
    pthread_mutex_unlock(&lock);
}

static void free_hub(hub *h) {
    if (h == NULL) return;
    watch_stop(h->watcher);
    free(h->path);
    free(h);
}

static void unlink_hub(const hub *h) {
    hub **link = &hubs;
    while (*link != h) link = &(*link)->next;
    *link = h->next;
}

/* A child has none of its parent's watchers. */
static void in_child(void) {
    hub *gone = idle;
    idle = NULL;
    if (gone != NULL) unlink_hub(gone);
    pthread_mutex_unlock(&lock);
    free_hub(gone);
}

/* A child must not find the lock held by a thread that it does not have. */
static void register_fork(void) {
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    at_fork(&begun, &fork_safe, take_lock, leave_lock, in_child);
}

/* On the watcher's thread, which alone makes reports: none comes between looking and taking. */
static void wake_all(void *arg) {
    hub *h = arg;
    bool any = false;
    pthread_mutex_lock(&lock);
    for (watch_share *s = h->first; s != NULL; s = s->next) {
        if (!watch_share_waiting(s)) continue;
        any = true;
        if (s->wake != NULL) s->wake(s->owner);
    }
    pthread_mutex_unlock(&lock);
    if (!any) watch_take(h->watcher); /* else it calls again soon */
}

/* A child does not share what it has from its parent. */
static hub *find_hub(const watch_options *o) {
    for (hub *h = hubs; h != NULL; h = h->next) {
        if (h->delay_ms == o->delay_ms && h->poll_only == o->poll_only && strcmp(h->path, o->path) == 0 &&
            watch_mode(h->watcher) != WATCH_FORKED)
            return h;
    }
    return NULL;
}

/* 0 or a negative errno value. */
static int make_hub(const watch_options *o, hub **out) {
    hub *h = calloc(1, sizeof *h);
    if (h == NULL) return -ENOMEM;
    h->path = strdup(o->path);
    h->delay_ms = o->delay_ms;
    h->poll_only = o->poll_only;
    watch_options own = *o;
    own.wake = wake_all;
    own.owner = h;
    int error = h->path != NULL ? watch_start(&own, &h->watcher) : -ENOMEM;
    if (error != 0) {
        free(h->path);
        free(h);
        return error;
    }
    h->next = hubs;
    hubs = h;
    *out = h;
    return 0;
}

/* The hub has lost its last share: what is to be freed now, it or the one that was idle before, or NULL. */
static hub *let_go(hub *h) {
    hub *gone = h;
    if (h->lasting && watch_mode(h->watcher) != WATCH_FORKED) {
        gone = idle;
        idle = h;
    }
    if (gone != NULL) unlink_hub(gone);
    return gone;
}

int watch_share_start(const watch_options *options, bool lasting, watch_share **out) {
    *out = NULL;
    if (options->path == NULL) return -EINVAL;
    if (pthread_once(&once, register_fork) != 0 || !fork_safe) return -ENOMEM;
    (void)
        own_threads_prepare(); /* registers a handler of fork(), which must not be done under a lock that another takes */
    watch_share *s = calloc(1, sizeof *s);
    if (s == NULL) return -ENOMEM;
    s->wake = options->wake;
    s->owner = options->owner;
    pthread_mutex_lock(&lock);
    int error = 0;
    s->hub = find_hub(options);
    if (s->hub == NULL) error = make_hub(options, &s->hub);
    if (error == 0) {
        if (s->hub == idle) idle = NULL;
        s->hub->lasting |= lasting;
        atomic_store(&s->seen, watch_reports(s->hub->watcher));
        s->next = s->hub->first;
        if (s->next != NULL) s->next->prev = s;
        s->hub->first = s;
    }
    pthread_mutex_unlock(&lock);
    if (error != 0) {
        free(s);
        return error;
    }
    *out = s;
    return 0;
}

void watch_share_stop(watch_share *s) {
    if (s == NULL) return;
    hub *h = s->hub, *gone = NULL;
    pthread_mutex_lock(&lock);
    *(s->prev != NULL ? &s->prev->next : &h->first) = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
    if (h->first == NULL) gone = let_go(h);
    pthread_mutex_unlock(&lock);
    free_hub(gone); /* without the lock: it waits for a running wake_all() */
    free(s);
}

bool watch_share_waiting(const watch_share *s) {
    return atomic_load(&s->seen) != watch_reports(s->hub->watcher);
}

bool watch_share_take(watch_share *s) {
    unsigned now = watch_reports(s->hub->watcher);
    return atomic_exchange(&s->seen, now) != now;
}

enum watch_mode watch_share_mode(const watch_share *s) {
    return watch_mode(s->hub->watcher);
}

int watch_share_inotify_errno(const watch_share *s) {
    return watch_inotify_errno(s->hub->watcher);
}
