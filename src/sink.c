#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "at_fork.h"
#include "outbuf.h"
#include "own_fd.h"
#include "own_threads.h"

enum {
    PAUSE_MS = 10,     /* between looks into the ring while lines come */
    IDLE_PAUSES = 100, /* after so many in vain the thread sleeps until it is woken */
    REOPEN_MS = 1000,  /* how often to look whether the file was moved away */
    TELL_MS = 1000,    /* how often to tell of dropped lines while there is no end of lines */
    CLOSE_WAIT_MS = 1000,
    RETELL_MS = 60000, /* how often the same error is passed on */
    STACK_BYTES = 256 * 1024
};

/* A file may have lines of both. */
enum { TEXT, JSON, KINDS };

/* What thread and VM share; freed by the one that leaves last. Mapped, not allocated: malloc() keeps megabytes that come and
 * go, with all their pages, and calloc() writes to those that it has kept. */
typedef struct channel {
    _Atomic uint64_t written, read;  /* bytes, ever; the VM's and the thread's */
    _Atomic uint64_t dropped[KINDS]; /* lines */
    atomic_int error;
    atomic_bool sleeping, stop, done;
    atomic_int users;
    sem_t wake;
    const char *path;            /* behind it */
    size_t size;                 /* of the mapping */
    unsigned generation;         /* of the process that the thread was started in */
    uint64_t last;               /* `written` when the process began to end; under the lock */
    struct channel *prev, *next; /* all of the process */
    char ring[SINK_RING_BYTES];
} channel;

struct sink {
    channel *channel;
    unsigned uses;
    sink *next;
};

static int kind_of(const char *line, size_t len) {
    return len > 0 && *line == '{' ? JSON : TEXT;
}

/* ---- All channels of the process ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static channel *channels;

/* fork(): the child has no thread, and what is in the rings is the parent's to write. */
static atomic_uint generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static bool fork_safe;

static void before_fork(void) {
    pthread_mutex_lock(&lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&lock);
}

static void in_child(void) {
    atomic_fetch_add(&generation, 1);
    channels = NULL;
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void) {
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    at_fork(&begun, &fork_safe, before_fork, in_parent, in_child);
}

static bool is_of_parent(const channel *c) {
    return c->generation != atomic_load_explicit(&generation, memory_order_relaxed);
}

/* No handler of the host's interrupts who has the lock: it may well call fork(). */
static sigset_t block_signals(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    return before;
}

static void unblock_signals(const sigset_t *before) {
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static void enlist(channel *c) {
    const sigset_t before = block_signals();
    pthread_mutex_lock(&lock);
    c->next = channels;
    if (channels != NULL) channels->prev = c;
    channels = c;
    pthread_mutex_unlock(&lock);
    unblock_signals(&before);
}

static void delist(channel *c) {
    const sigset_t before = block_signals();
    pthread_mutex_lock(&lock);
    *(c->prev != NULL ? &c->prev->next : &channels) = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    pthread_mutex_unlock(&lock);
    unblock_signals(&before);
}

/* ---- The thread ---- */

typedef struct writer {
    channel *channel;
    int fd;
    dev_t dev;
    ino_t ino;
    int64_t looked_ms;
    uint64_t dropped[KINDS]; /* as last told */
    int64_t dropped_ms;      /* and when */
    bool torn;               /* the file ends within a line */
    int told;                /* the last error, and when it was passed on */
    int64_t told_ms;
} writer;

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Not until a time of the system's clock, which may be set back meanwhile. */
static void pause_for(int ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void channel_free(channel *c) {
    munmap(c, c->size);
}

static void release(channel *c) {
    if (atomic_fetch_sub(&c->users, 1) != 1) return;
    if (!is_of_parent(c)) delist(c);
    sem_destroy(&c->wake);
    channel_free(c);
}

/* What is wrong is passed on once a minute, not for each line. */
static void fail(writer *w, int error) {
    int64_t now = now_ms();
    if (error == w->told && now - w->told_ms < RETELL_MS) return;
    w->told = error;
    w->told_ms = now;
    atomic_store(&w->channel->error, error);
}

static void open_file(writer *w) {
    struct stat st;
    w->torn = false;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    w->fd = own_fd(open(w->channel->path, flags, 0640));
    if (w->fd >= 0 && fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        w->dev = st.st_dev;
        w->ino = st.st_ino;
        return;
    }
    fail(w, w->fd >= 0 ? EINVAL : errno);
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}

/* Have the file open that is at the path now. */
static void look_at_file(writer *w) {
    struct stat st;
    int64_t now = now_ms();
    if (now - w->looked_ms < REOPEN_MS) return;
    w->looked_ms = now;
    if (w->fd >= 0 && stat(w->channel->path, &st) == 0 && st.st_dev == w->dev && st.st_ino == w->ino) return;
    if (w->fd >= 0) close(w->fd);
    open_file(w);
}

/* The next line begins a line, also behind one that could be written in part only. */
static bool mend(writer *w) {
    if (w->torn && write(w->fd, "\n", 1) == 1) w->torn = false;
    return !w->torn;
}

/* Write all of it, or note why not; then `parts` are what was not written. */
static bool write_all(writer *w, struct iovec *parts, int n) {
    int i = 0;
    if (w->fd < 0) return false;
    bool ok = mend(w);
    while (ok && i < n) {
        ssize_t done = writev(w->fd, parts + i, n - i);
        if (done < 0 && errno == EINTR) continue;
        ok = done >= 0;
        if (done > 0) w->torn = true;
        for (size_t left = ok ? (size_t)done : 0; ok && i < n; i++) {
            if (left < parts[i].iov_len) {
                parts[i].iov_base = (char *)parts[i].iov_base + left;
                parts[i].iov_len -= left;
                break;
            }
            left -= parts[i].iov_len;
            parts[i].iov_len = 0;
        }
    }
    if (ok)
        w->torn = false;
    else
        fail(w, errno);
    return ok;
}

/* Count the lines, of each kind, that end within the first `bytes` of the two parts. */
static void count_lines(const struct iovec *parts, size_t bytes, uint64_t n[KINDS]) {
    bool begins = true;
    int kind = TEXT;
    for (int i = 0; i < 2; i++) {
        size_t size = parts[i].iov_len < bytes ? parts[i].iov_len : bytes;
        const char *p = parts[i].iov_base, *end = p + size, *newline;
        bytes -= size;
        for (; p < end; p = newline + 1) {
            if (begins) kind = kind_of(p, (size_t)(end - p));
            newline = memchr(p, '\n', (size_t)(end - p));
            begins = newline != NULL;
            if (!begins) break;
            n[kind]++;
        }
    }
}

/* Of the two parts `left` could not be written. */
static void count_dropped(channel *c, const struct iovec *parts, const struct iovec *left) {
    uint64_t all[KINDS] = {0}, written[KINDS] = {0};
    size_t size = parts[0].iov_len + parts[1].iov_len;
    count_lines(parts, size, all);
    count_lines(parts, size - left[0].iov_len - left[1].iov_len, written);
    for (int k = 0; k < KINDS; k++) atomic_fetch_add(&c->dropped[k], all[k] - written[k]);
}

/* Tell, for each kind in its own way, how many lines were dropped up to now. */
static void tell_drops(writer *w, const uint64_t dropped[KINDS]) {
    static const char *const formats[KINDS] = {
        [TEXT] = "%sZ warn %llu lines dropped\n", [JSON] = "{\"v\":1,\"time\":\"%sZ\",\"dropped\":%llu}\n"};
    char text[128], when[OUT_DATE_SIZE];
    for (int k = 0; k < KINDS && w->fd >= 0; k++) {
        if (dropped[k] == w->dropped[k]) continue;
        out_date(when, time(NULL));
        int n = snprintf(text, sizeof text, formats[k], when, (unsigned long long)(dropped[k] - w->dropped[k]));
        struct iovec part = {.iov_base = text, .iov_len = (size_t)n};
        w->dropped_ms = now_ms();
        if (write_all(w, &part, 1)) w->dropped[k] = dropped[k];
    }
}

/* Write what is in the ring. False: it was empty. */
static bool drain(writer *w) {
    channel *c = w->channel;
    uint64_t dropped[KINDS];
    /* Before `written` is read: so all that came before them is in the file when they are told. */
    for (int k = 0; k < KINDS; k++) dropped[k] = atomic_load(&c->dropped[k]);
    uint64_t from = atomic_load_explicit(&c->read, memory_order_relaxed);
    uint64_t to = atomic_load_explicit(&c->written, memory_order_acquire);
    if (from == to) {
        tell_drops(w, dropped);
        return false;
    }
    look_at_file(w);
    size_t at = from % SINK_RING_BYTES, size = (size_t)(to - from), first = SINK_RING_BYTES - at;
    if (first > size) first = size;
    const struct iovec parts[2] = {{.iov_base = c->ring + at, .iov_len = first},
                                   {.iov_base = c->ring, .iov_len = size - first}};
    struct iovec left[2] = {parts[0], parts[1]};
    if (!write_all(w, left, 2)) count_dropped(c, parts, left);
    atomic_store_explicit(&c->read, to, memory_order_release);
    if (now_ms() - w->dropped_ms >= TELL_MS) tell_drops(w, dropped);
    return true;
}

static void *write_lines(void *arg) {
    channel *c = arg;
    writer w = {.channel = c, .fd = -1, .looked_ms = now_ms() - REOPEN_MS, .dropped_ms = now_ms()};
    int idle = 0;
    own_thread_begins();
    look_at_file(&w);
    for (;;) {
        bool stop = atomic_load(&c->stop); /* before the ring is looked at */
        if (drain(&w)) {
            idle = 0;
        } else if (stop) {
            break;
        } else if (++idle > IDLE_PAUSES) {
            atomic_store(&c->sleeping, true);
            bool empty = atomic_load(&c->written) == atomic_load(&c->read) && !atomic_load(&c->stop);
            while (empty && sem_wait(&c->wake) != 0 && errno == EINTR) {
            }
            atomic_store(&c->sleeping, false);
            idle = 0;
            continue;
        }
        if (!stop) pause_for(PAUSE_MS);
    }
    if (w.fd >= 0) close(w.fd);
    atomic_store(&c->done, true);
    release(c);
    own_thread_ends();
    return NULL;
}

/* ---- The VM's side ---- */

/* 0 or an errno value. */
static int start_thread(channel *c) {
    pthread_t thread;
    pthread_attr_t attr;
    (void)own_threads_prepare();
    int error = pthread_attr_init(&attr);
    if (error != 0) return error;
    long least = sysconf(_SC_THREAD_STACK_MIN);
    (void)pthread_attr_setstacksize(&attr, least > STACK_BYTES ? (size_t)least : STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    const sigset_t before = block_signals(); /* they are for the host's threads */
    atomic_fetch_add(&c->users, 1);
    error = pthread_create(&thread, &attr, write_lines, c);
    if (error == EINVAL) { /* see watch.c: no room for the host's thread-local storage */
        pthread_attr_destroy(&attr);
        error = pthread_attr_init(&attr);
        if (error == 0) {
            (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
            error = pthread_create(&thread, &attr, write_lines, c);
        }
    }
    if (error != 0) atomic_fetch_sub(&c->users, 1);
    unblock_signals(&before);
    pthread_attr_destroy(&attr);
    return error;
}

static channel *channel_new(const char *path) {
    size_t len = strlen(path), size = sizeof(channel) + len + 1;
    channel *c = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c == MAP_FAILED) return NULL;
    c->size = size;
    c->path = memcpy((char *)c + sizeof *c, path, len + 1);
    atomic_store(&c->users, 1);
    (void)sem_init(&c->wake, 0, 0); /* fails for a value that is too large only */
    c->generation = atomic_load(&generation);
    enlist(c);
    return c;
}

sink *sink_open(sink **list, const char *path, int *error) {
    bool safe = pthread_once(&fork_once, watch_forks) == 0 && fork_safe;
    for (sink *s = *list; s != NULL; s = s->next) {
        if (strcmp(s->channel->path, path) != 0) continue;
        s->uses++;
        return s;
    }
    *error = ENOMEM;
    sink *s = safe ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) return NULL;
    s->channel = channel_new(path);
    if (s->channel == NULL) {
        free(s);
        return NULL;
    }
    *error = start_thread(s->channel);
    if (*error != 0) {
        release(s->channel);
        free(s);
        return NULL;
    }
    s->uses = 1;
    s->next = *list;
    *list = s;
    return s;
}

void sink_close(sink **list, sink *s, bool wait) {
    if (--s->uses > 0) return;
    sink **link = list;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    channel *c = s->channel;
    if (!is_of_parent(c)) {
        int64_t until = now_ms() + CLOSE_WAIT_MS;
        atomic_store(&c->stop, true);
        sem_post(&c->wake);
        while (wait && !atomic_load(&c->done) && now_ms() < until) pause_for(1);
    } else {
        atomic_fetch_sub(&c->users, 1); /* the thread's, which is not here */
    }
    release(c);
    free(s);
}

/* Serve the child of a fork() with a channel of its own; the old one is left to the parent's memory. */
static bool begin_anew(sink *s) {
    channel *c = channel_new(s->channel->path);
    if (c == NULL) return false;
    if (start_thread(c) != 0) {
        release(c);
        return false;
    }
    channel_free(s->channel);
    s->channel = c;
    return true;
}

bool sink_write(sink *s, const char *line, size_t len) {
    bool here = !is_of_parent(s->channel) || begin_anew(s);
    channel *c = s->channel;
    uint64_t at = atomic_load_explicit(&c->written, memory_order_relaxed);
    uint64_t used = at - atomic_load_explicit(&c->read, memory_order_acquire);
    if (!here || len >= SINK_RING_BYTES / 2 || len + 1 > SINK_RING_BYTES - used) {
        atomic_fetch_add(&c->dropped[kind_of(line, len)], 1);
        return false;
    }
    size_t from = at % SINK_RING_BYTES, first = SINK_RING_BYTES - from;
    if (first > len) first = len;
    memcpy(c->ring + from, line, first);
    memcpy(c->ring, line + first, len - first);
    c->ring[(at + len) % SINK_RING_BYTES] = '\n';
    atomic_store(&c->written, at + len + 1); /* before `sleeping` is read */
    if (atomic_load(&c->sleeping)) sem_post(&c->wake);
    return true;
}

int sink_error(sink *s) {
    return atomic_load_explicit(&s->channel->error, memory_order_relaxed) != 0 ? atomic_exchange(&s->channel->error, 0)
                                                                               : 0;
}

const char *sink_path(const sink *s) {
    return s->channel->path;
}

bool sink_flush(sink *s, int ms) {
    channel *c = s->channel;
    for (int64_t until = now_ms() + ms; now_ms() < until;) {
        if (atomic_load(&c->written) == atomic_load(&c->read)) return true;
        sem_post(&c->wake);
        pause_for(1);
    }
    return false;
}

/* Whether there is less in the files than there was in the rings at the first call, which `begins`. */
static bool wake_unfinished(bool begins) {
    bool any = false;
    for (channel *c = channels; c != NULL; c = c->next) {
        if (begins) c->last = atomic_load(&c->written);
        if (atomic_load(&c->read) >= c->last) continue;
        any = true;
        sem_post(&c->wake);
    }
    return any;
}

/* The process ends by exit(), VMs or not: what is in the rings is written, as when they are closed. The lock is not kept while
 * this waits, for threads and handlers of signals go on, and may call fork(). */
__attribute__((destructor)) static void write_the_rest(void) {
    bool begins = true, left = true;
    for (int64_t until = now_ms() + CLOSE_WAIT_MS; left && now_ms() < until;) {
        const sigset_t before = block_signals();
        if (pthread_mutex_trylock(&lock) == 0) {
            left = wake_unfinished(begins);
            begins = false;
            pthread_mutex_unlock(&lock);
        }
        unblock_signals(&before);
        if (left) pause_for(1);
    }
}
