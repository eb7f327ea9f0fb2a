#include "hooksfile.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "digest.h"
#include "follow.h"
#include "host.h"
#include "listing.h"
#include "log.h"
#include "trust.h"
#include "watch_share.h"

enum {
    SIZE_MAX_BYTES = 16 * 1024 * 1024, /* a hooks file larger than this is a mistake */
    TRIES = 10                         /* to open a file that is put in another's place meanwhile */
};

struct hooksfile {
    char *path; /* absolute */
    int delay_ms;
    unsigned flags;
    engine *engine;       /* the context's: woken by the watcher's thread */
    watch_share *watcher; /* NULL: it is to start later */
    follower follower;    /* with LJINSPECT_WATCH_FORK */
    watch_state state;    /* as last dealt with */
    uint64_t content;     /* digest of what was last applied */
    bool refused;         /* it could not be read or was not trusted: that is logged once per state */
    bool fresh;           /* the file was written so shortly before it was read that a later write may look the same */
    bool unwatched;       /* no watcher could be started: that is logged once, and tried again */
    bool announced;       /* the log says that it is watched */
    int unnotified;       /* and why not all is notified: watch_share_inotify_errno() */
    bool applied;         /* the hooks in force are this file's */
    bool polling;         /* hooksfile_poll runs */
    bool stopped;         /* hooksfile_stop was called from within: it is done at the end */
};

/* ---- Reading ---- */

typedef struct content {
    char *bytes;
    size_t size;
} content;

static uint64_t digest(const content *t) {
    return digest_bytes(DIGEST_START, t->bytes, t->size);
}

/* Read the whole of `fd` behind what `t` holds. 0 or an errno value. */
static int read_all(int fd, content *t) {
    size_t capacity = 0;
    for (;;) {
        if (t->size == capacity) {
            capacity = capacity != 0 ? capacity * 2 : 4096;
            char *larger = realloc(t->bytes, capacity);
            if (larger == NULL) return ENOMEM;
            t->bytes = larger;
        }
        ssize_t n = read(fd, t->bytes + t->size, capacity - t->size);
        if (n == 0) return 0;
        if (n < 0 && errno != EINTR) return errno;
        if (n > 0) t->size += (size_t)n;
        if (t->size > SIZE_MAX_BYTES) return EFBIG;
    }
}

/* Whether an error of the path says that there is no file. */
static bool is_absent(int reason) {
    return reason == ENOENT || reason == ENOTDIR;
}

/* Whether an error says nothing about the file. */
static bool is_passing(int reason) {
    return reason == ENOMEM || reason == EMFILE || reason == ENFILE || reason == EINTR || reason == ESTALE;
}

/* The file, opened once, and that very file checked: a descriptor; or an ljinspect_error with what there is to say about
 * it in `why`, errno set for _SYSTEM. */
static int open_checked(const hooksfile *f, char *why, size_t why_size) {
    struct stat st;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = LJINSPECT_ERR_SYSTEM, reason = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        reason = errno;
    } else if (S_ISDIR(st.st_mode)) {
        reason = EISDIR;
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_size, ": not a regular file");
        reason = EINVAL;
        goto refused;
    } else if ((f->flags & LJINSPECT_WATCH_INSECURE) != 0) {
        return fd;
    } else {
        static const char refused[] = " refused: ";
        memcpy(why, refused, sizeof refused);
        if (trust_check(f->path, fd, why + sizeof refused - 1, why_size - sizeof refused)) return fd;
        reason = errno;
        if (!is_passing(reason)) error = LJINSPECT_ERR_UNTRUSTED;
        if (error == LJINSPECT_ERR_UNTRUSTED || reason == ESTALE) goto refused;
    }
    snprintf(why, why_size, ": %s", strerror(reason));
refused:
    if (fd >= 0) close(fd);
    errno = reason;
    return error;
}

/* Open the file, check it, read it. 0; or an ljinspect_error, errno set for _SYSTEM; logged, but where the file is absent by
 * now. */
static int load(hooksfile *f, context *c, lua_State *L, content *t) {
    char why[2 * PATH_MAX];
    struct stat st;
    int fd = -1, error = 0, reason = 0;
    for (int tries = 0; tries < TRIES && fd < 0; tries++) {
        fd = open_checked(f, why, sizeof why);
        if (fd < 0 && errno != ESTALE && !is_absent(errno)) break;
    }
    if (fd < 0) {
        error = fd;
        reason = errno;
    } else {
        reason = read_all(fd, t);
        close(fd);
        if (reason == 0) return 0;
        snprintf(why, sizeof why, ": %s", strerror(reason));
        error = LJINSPECT_ERR_SYSTEM;
    }
    /* Where the way could not be walked any more, what was amiss is that the file went meanwhile. */
    if (is_absent(reason) && (error == LJINSPECT_ERR_SYSTEM || (stat(f->path, &st) != 0 && is_absent(errno)))) {
        errno = reason;
        return LJINSPECT_ERR_SYSTEM;
    }
    log_message(c, L, LJINSPECT_ERROR, "hooks file %s%s", f->path, why);
    errno = reason;
    return error;
}

/* ---- Applying ---- */

typedef struct application {
    hooksfile *file;
    const content *text;
    bool no_memory; /* to compile it */
} application;

static void run_chunk(lua_State *L, context *c, void *arg) {
    application *a = arg;
    (void)c;
    lua_pushfstring(L, "@%s", a->file->path);
    int status = luaL_loadbufferx(L, a->text->bytes, a->text->size, lua_tostring(L, -1), "t");
    a->no_memory = status == LUA_ERRMEM;
    if (status != 0) lua_error(L);
    lua_call(L, 0, 0);
}

/* The hooks now in force, for the log: as many as there is room for. */
typedef struct summary {
    char text[1024];
    size_t len;
} summary;

static int summarize(const ljinspect_hook_info *info, void *arg) {
    summary *s = arg;
    char state[96] = "pending";
    int near[2] = {info->line_before, info->line_after};
    if (info->state == LJINSPECT_ARMED)
        snprintf(state, sizeof state, "armed");
    else if (info->state == LJINSPECT_NO_CODE && near[0] != 0 && near[1] != 0)
        snprintf(state, sizeof state, "no code, nearest lines %d and %d", near[0], near[1]);
    else if (info->state == LJINSPECT_NO_CODE)
        snprintf(state, sizeof state, "no code, nearest line %d", near[near[0] != 0 ? 0 : 1]);
    const char *separator = s->len > 0 ? ", " : ": ";
    size_t room = sizeof s->text - s->len, left = room - sizeof ", ...";
    int n = snprintf(s->text + s->len, room, "%s%s (%s)", separator, info->key, state);
    if (n >= 0 && (size_t)n < left) {
        s->len += (size_t)n;
        return 0;
    }
    snprintf(s->text + s->len, room, "%s...", separator);
    return 1;
}

static void log_applied(hooksfile *f, context *c, lua_State *L) {
    summary s = {.len = 0};
    int n = listing_visit(c, L, summarize, &s);
    if (n < 0) n = (int)hooks_count(c->hooks);
    log_message(c, L, LJINSPECT_INFO, "hooks file %s applied: %d hook%s%s", f->path, n, n == 1 ? "" : "s", s.text);
}

/* Run the file against a fresh hook set, which takes the place of the present one if all went well. 0, or an
 * ljinspect_error, logged. */
static int apply(hooksfile *f, context *c, lua_State *L, const content *text) {
    application a = {.file = f, .text = text};
    int error;
    if (context_stage(c) != 0) {
        log_message(c, L, LJINSPECT_ERROR, "hooks file %s: not enough memory", f->path);
        return LJINSPECT_ERR_NOMEM;
    }
    c->applying = true;
    c->applied_short = false;
    int status = context_call(c, L, run_chunk, &a, 0);
    c->applying = false;
    if (status == 0) /* a file may not look at what set_hook() returns: it is in force as a whole or not at all */
        error = c->applied_short ? LJINSPECT_ERR_NOMEM : context_commit(c, L);
    else
        error = status == LUA_ERRMEM || a.no_memory ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_HOOKSFILE;
    context_unstage(c); /* before anything is logged: a logger may set hooks */
    if (status != 0) {
        const char *text_of_error = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
        log_message(c, L, LJINSPECT_ERROR, "hooks file %s failed, hooks left as they were: %s", f->path, text_of_error);
        lua_pop(L, 1);
    } else if (error != 0) {
        log_message(c, L, LJINSPECT_ERROR, "hooks file %s could not be put into force, hooks left as they were: %s",
                    f->path, ljinspect_strerror(error));
    }
    return error;
}

/* The file is gone: so are its hooks. 1 or 0 as hooksfile_poll. */
static int removed(hooksfile *f, context *c, lua_State *L) {
    if (!f->applied) return 0;
    f->applied = false;
    f->content = 0;
    int n = context_remove_all(c, L);
    log_message(c, L, LJINSPECT_INFO, "hooks file %s is gone: %d hook%s removed", f->path, n, n == 1 ? "" : "s");
    return 1;
}

/* Whether a file changed so shortly before `now` that another write could leave the same times: those are taken from a
 * clock that ticks each few milliseconds. */
static bool is_fresh(const char *path) {
    struct stat st;
    struct timespec now;
    if (stat(path, &st) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return true;
    int64_t age_ms = ((int64_t)now.tv_sec - st.st_ctim.tv_sec) * 1000 + (now.tv_nsec - st.st_ctim.tv_nsec) / 1000000;
    return age_ms < 50;
}

/* Log that the file is watched, once, and how, whenever that changes. */
static void announce(hooksfile *f, context *c, lua_State *L) {
    int reason = watch_share_inotify_errno(f->watcher), before = f->unnotified;
    if (!f->announced) {
        before = 0;
        log_message(c, L, LJINSPECT_INFO, "watching hooks file %s", f->path);
    }
    f->announced = true;
    f->unnotified = reason;
    if (reason != 0 && reason != before)
        log_message(c, L, LJINSPECT_WARN, "hooks file %s: no notification from the system (%s), looking every %d ms",
                    f->path, strerror(reason), f->delay_ms);
    else if (reason == 0 && before != 0)
        log_message(c, L, LJINSPECT_INFO, "hooks file %s: the system notifies again", f->path);
}

static int start_watcher(hooksfile *f, watch_share **out);

/* Start the watcher that was to start later, or one for a child process; 0 or an ljinspect_error, logged. */
static int begin(hooksfile *f, context *c, lua_State *L) {
    watch_share *now;
    int error = start_watcher(f, &now);
    if (error != 0) {
        int reason = errno;
        if (!f->unwatched)
            log_message(c, L, LJINSPECT_ERROR, "hooks file %s cannot be watched: %s", f->path,
                        error == LJINSPECT_ERR_SYSTEM ? strerror(reason) : ljinspect_strerror(error));
        f->unwatched = true;
        errno = reason;
        return error;
    }
    f->unwatched = false;
    watch_share_stop(f->watcher);
    f->watcher = now;
    f->announced = false;
    return 0;
}

/* Whether there is no watcher in this process, and there should be. */
static bool is_late(const hooksfile *f) {
    if (f->watcher == NULL) return true;
    return (f->flags & LJINSPECT_WATCH_FORK) != 0 && watch_share_mode(f->watcher) == WATCH_FORKED;
}

static int poll_once(hooksfile *f, context *c, lua_State *L) {
    if (is_late(f)) {
        int error = begin(f, c, L);
        if (error != 0) return error;
    }
    announce(f, c, L);
    bool reported = watch_share_take(f->watcher);
    c->engine->class->awake(c->engine, L);
    watch_state now = watch_look(f->path); /* before it is read: what changes later is a change again */
    bool same = now.error == f->state.error && now.digest == f->state.digest;
    if (same && (f->refused || (!reported && !f->fresh))) return 0;
    f->state = now;
    if (is_absent(now.error)) {
        f->fresh = false;
        return removed(f, c, L);
    }
    bool fresh = is_fresh(f->path);
    content text = {0};
    int error = load(f, c, L, &text);
    if (error == LJINSPECT_ERR_SYSTEM && is_absent(errno)) { /* it went since it was looked at */
        f->state = (watch_state){.error = errno};
        f->fresh = false;
        return removed(f, c, L);
    }
    f->refused = error != 0;
    f->fresh = fresh && error == 0;
    if (error == 0 && same && digest(&text) == f->content) {
        free(text.bytes);
        return 0;
    }
    if (error == 0) {
        f->content = digest(&text);
        error = apply(f, c, L, &text);
    }
    int reason = errno;
    free(text.bytes);
    errno = reason;
    if (error == LJINSPECT_ERR_NOMEM || (error == LJINSPECT_ERR_SYSTEM && is_passing(errno)))
        f->state = (watch_state){.error = -1}; /* once more at the next poll */
    if (error != 0) return error;
    f->applied = true;
    log_applied(f, c, L);
    return 1;
}

int hooksfile_poll(hooksfile *f, context *c, lua_State *L) {
    if (c->applying || f->polling) return 0;
    engine *e = f->engine; /* the watcher needs it, also where a logger ends the watching: that ends only here */
    e->at_work++;
    f->polling = true;
    int result = poll_once(f, c, L), reason = errno;
    f->polling = false;
    if (f->stopped) hooksfile_stop(f, c, L);
    e->at_work--;
    errno = reason;
    return result;
}

static void ask_host(lua_State *L, context *c, void *ready) {
    (void)c;
    *(bool *)ready = host_ready(L);
}

void hooksfile_safepoint(hooksfile *f, context *c, lua_State *L) {
    if (is_late(f) && !c->applying && !f->polling) {
        bool ready = false, stopped;
        engine *e = f->engine;
        e->at_work++;
        f->polling = true; /* the host is asked by calling it */
        if (context_call(c, L, ask_host, &ready, 0) != 0) lua_pop(L, 1);
        f->polling = false;
        stopped = f->stopped;
        if (stopped) hooksfile_stop(f, c, L);
        e->at_work--;
        if (stopped || !ready) return;
    }
    hooksfile_poll(f, c, L);
}

void hooksfile_rouse(hooksfile *f) {
    if (is_late(f)) f->engine->class->wake_here(f->engine);
}

/* ---- Watching ---- */

static void wake(void *arg) {
    hooksfile *f = arg;
    f->engine->class->wake(f->engine);
}

static void start_watching(lua_State *L, context *c, void *arg) {
    (void)arg;
    c->engine->class->watching(c->engine, L, true);
}

/* The engine is kept by no file yet. */
static bool have_watched(context *c, lua_State *L) {
    engine *e = c->engine;
    e->at_work++;
    int status = context_call(c, L, start_watching, NULL, 0);
    e->at_work--;
    if (status != 0) lua_pop(L, 1);
    return status == 0;
}

/* `path` made absolute without following links; NULL: no memory, or no current directory (errno). */
static char *absolute(const char *path) {
    if (path[0] == '/') return strdup(path);
    char *directory = getcwd(NULL, 0);
    if (directory == NULL) return NULL;
    size_t size = strlen(directory) + strlen(path) + 2;
    char *joined = malloc(size);
    if (joined != NULL) snprintf(joined, size, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
    free(directory);
    return joined;
}

/* Whether `f` already does what is asked for. A watcher that was left behind in the parent process does not. */
static bool serves(const hooksfile *f, const char *path, int delay_ms, unsigned flags) {
    return strcmp(f->path, path) == 0 && f->delay_ms == delay_ms && f->flags == flags &&
           (f->watcher == NULL || watch_share_mode(f->watcher) != WATCH_FORKED);
}

/* 0 with *out set, or an ljinspect_error (errno set for _SYSTEM). */
static int start_watcher(hooksfile *f, watch_share **out) {
    const watch_options options = {.path = f->path,
                                   .delay_ms = f->delay_ms,
                                   .poll_only = (f->flags & LJINSPECT_WATCH_POLL) != 0,
                                   .wake = wake,
                                   .owner = f};
    if ((f->flags & LJINSPECT_WATCH_FORK) != 0 && !follow(&f->follower, f->engine)) return LJINSPECT_ERR_NOMEM;
    int failed = watch_share_start(&options, (f->flags & LJINSPECT_WATCH_FORK) != 0, out);
    if (failed == 0) return 0;
    errno = -failed;
    return failed == -ENOMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_SYSTEM;
}

/* The first safepoint starts the watcher. */
static int start_later(hooksfile *f) {
    if ((f->flags & LJINSPECT_WATCH_FORK) != 0 && !follow(&f->follower, f->engine)) return LJINSPECT_ERR_NOMEM;
    f->engine->class->wake_here(f->engine);
    return 0;
}

int hooksfile_start(context *c, lua_State *L, const char *path, int delay_ms, unsigned flags, hooksfile **out) {
    *out = NULL;
    hooksfile *f = calloc(1, sizeof *f);
    if (f == NULL) return LJINSPECT_ERR_NOMEM;
    int error = LJINSPECT_ERR_NOMEM;
    f->flags = flags;
    f->delay_ms = delay_ms;
    f->engine = c->engine;
    f->state = (watch_state){.error = -1};
    f->path = absolute(path);
    if (f->path == NULL) {
        if (errno != ENOMEM) error = LJINSPECT_ERR_SYSTEM;
        goto fail;
    }
    if (c->file != NULL && serves(c->file, f->path, delay_ms, flags)) {
        *out = c->file;
        error = 0;
        goto fail;
    }
    f->applied = c->file != NULL && c->file->applied && strcmp(c->file->path, f->path) == 0;
    if (!have_watched(c, L)) goto fail;
    error = (flags & LJINSPECT_WATCH_LATER) != 0 ? start_later(f) : start_watcher(f, &f->watcher);
    if (error != 0) {
        int reason = errno;
        if (c->file == NULL) c->engine->class->watching(c->engine, L, false);
        errno = reason;
        goto fail;
    }
    *out = f;
    return 0;
fail:
    follow_end(&f->follower);
    free(f->path);
    free(f);
    return error;
}

void hooksfile_stop(hooksfile *f, context *c, lua_State *L) {
    if (f->polling) {
        f->stopped = true;
        return;
    }
    follow_end(&f->follower);
    watch_share_stop(f->watcher);
    if (c->file == NULL || c->file == f) {
        c->engine->class->awake(c->engine, L);
        c->engine->class->watching(c->engine, L, false);
    }
    free(f->path);
    free(f);
}

bool hooksfile_waiting(const hooksfile *f) {
    return is_late(f) || watch_share_waiting(f->watcher);
}

const char *hooksfile_path(const hooksfile *f) {
    return f->path;
}

const char *hooksfile_watcher(const hooksfile *f) {
    if (f->watcher == NULL) return "off";
    switch (watch_share_mode(f->watcher)) {
    case WATCH_INOTIFY: return "inotify";
    case WATCH_POLLING: return "polling";
    default: return "forked";
    }
}
