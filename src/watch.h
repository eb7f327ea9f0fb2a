/*
 * The file watcher: a native thread on inotify, or polling; knows no Lua.
 *
 * It says that the file may have changed and does nothing else. What it reports may be less than it seems (a touch, a
 * write of the same bytes), never more than it reports: after the last change of a file there is always a report.
 *
 * Seen as changes: content, metadata, removal, creation, a rename over the path, a symbolic link that is re-pointed,
 * at the path itself, anywhere along its directories, or in a chain of links; and whatever happens to the target.
 */
#ifndef LJINSPECT_WATCH_H
#define LJINSPECT_WATCH_H

#include <stdbool.h>

typedef struct watcher watcher;

/* Called on the watcher's thread when a change waits, and again every few milliseconds (with growing pauses, 50 ms at
 * most) until watch_take() has taken it. */
typedef void (*watch_wake_fn)(void *owner);

typedef struct watch_options {
    const char *path; /* absolute */
    int delay_ms;     /* 10 to 86400000: how often to look when the system does not notify, and as a safety net */
    bool poll_only;   /* do not use inotify */
    watch_wake_fn wake;
    void *owner;
} watch_options;

/* How the watcher works at the moment. */
enum watch_mode { WATCH_INOTIFY, WATCH_POLLING, WATCH_FORKED };

/* Start the thread. 0 with *out set, or a negative errno value with *out NULL. The file's present state is taken as
 * known: a change is reported for what happens after the return. All signals are blocked in the thread. */
int watch_start(const watch_options *options, watcher **out);

/* Stop the thread, wait for it and free all. In a child process that inherited the watcher by fork() only the memory
 * and descriptors of this process are freed; the parent's watcher goes on. NULL is allowed. */
void watch_stop(watcher *w);

/* True while a report waits. Any thread; one atomic load. */
bool watch_waiting(const watcher *w);

/* Take the waiting report: true once per report. Any thread. */
bool watch_take(watcher *w);

/* In a child process that inherited the watcher: WATCH_FORKED. */
enum watch_mode watch_mode(const watcher *w);

/* Why inotify is not in use although it was wanted: an errno value, 0 for no reason. */
int watch_inotify_errno(const watcher *w);

/*
 * The state of a path: what stat says of it and of the links that lead to it. Equal states of the same path mean that
 * nothing has happened to it as far as the file system can tell.
 */
typedef struct watch_state {
    int error;                  /* 0, or the errno value of resolving it: ENOENT for none, ELOOP, EACCES, ... */
    unsigned long long digest;  /* device, inode, size, mode, owner, times of the file and of each link on the way */
} watch_state;

watch_state watch_look(const char *path);

#endif
