/*
 * The file watcher: a native thread on inotify, or polling; knows no Lua.
 *
 * It says that the file may have changed and does nothing else: it never opens the file. There may be more reports than
 * changes (a touch, a write of the same bytes), and fewer (many changes, one report), but after the last change of a
 * file there is always a report: whoever reads the file after watch_take() has either read that change or will be told.
 *
 * Seen as changes: content, metadata, removal, creation, a rename over the path, a symbolic link that is re-pointed,
 * at the path itself, anywhere along its directories, or in a chain of links; whatever happens to the target, also
 * through another hard link of it; and another owner or mode of a directory that holds the file or a link to it.
 *
 * When: with inotify at once for a file that was closed after writing, moved to its place or linked to; for all else
 * when 50 ms have passed without a further event, or 500 ms in all, so that a file is not taken half-written. What the
 * system does not notify (network file systems, mounts, directories that may not be read) is seen by looking, every
 * `delay_ms`; since two changes within one tick of the file system's clock can look like one, a change that is found by
 * looking alone is reported a second time at the next look.
 */
#ifndef LJINSPECT_WATCH_H
#define LJINSPECT_WATCH_H

#include <stdbool.h>

typedef struct watcher watcher;

/* Called on the watcher's thread when a change waits, and again with pauses of 1, 2, 4, ... 50 ms, after
 * two seconds up to 1 s, until watch_take() has taken it; a call that has begun may end after that. A further report starts over with the pauses. Never called
 * after watch_stop() has returned. It must not call watch_stop(), nor wait for a thread that may be in watch_stop(). */
typedef void (*watch_wake_fn)(void *owner);

typedef struct watch_options {
    const char *path;   /* absolute; copied */
    int delay_ms;       /* 10 to 86400000: how often to look when the system does not notify, and as a safety net */
    bool poll_only;     /* do not use inotify */
    watch_wake_fn wake; /* NULL: the reports are asked for */
    void *owner;        /* given to `wake` */
} watch_options;

/* How the watcher works at the moment. It changes by itself: polling while a directory may not be read, say. */
enum watch_mode { WATCH_INOTIFY, WATCH_POLLING, WATCH_FORKED };

/* Start the thread. 0 with *out set, or a negative errno value with *out NULL: -EINVAL for a path that is not absolute
 * or a delay out of range, -ENOMEM, -EMFILE and -ENFILE for want of one descriptor, -EAGAIN for want of a thread. The
 * path may lead nowhere. The file's present state is taken as known: what happens after the return is reported, and
 * what happens during the call may be. All signals are blocked in the thread. All memory is allocated here; the thread
 * allocates none. */
int watch_start(const watch_options *options, watcher **out);

/* Stop the thread, wait for it (for a running `wake`, for a file system that does not answer, and up to `delay_ms` where the
 * host has closed the watcher's descriptors and taken their numbers) and free all. In a
 * child process that inherited the watcher by fork() only the memory and descriptors of this process are freed; the
 * parent's watcher goes on. NULL is allowed. */
void watch_stop(watcher *w);

/* True while a report waits. Any thread; one atomic load. A child process inherits a report that waited at fork(). */
bool watch_waiting(const watcher *w);

/* Take the waiting report: true once per report. Any thread. */
bool watch_take(watcher *w);

/* How many reports there were so far, modulo its range: for those who share a watcher. Counted on the watcher's thread,
 * before watch_waiting() is true. Any thread. */
unsigned watch_reports(const watcher *w);

/* In a child process that inherited the watcher: WATCH_FORKED. Any thread. */
enum watch_mode watch_mode(const watcher *w);

/* Why inotify is not in use, or not for all directories, although it was wanted: an errno value, 0 for no reason. It is
 * tried again each `delay_ms`, and a change of the reason is reported as a change of the file is.
 * EMFILE: no descriptor or no inotify instance left, EBADF: the host has closed the descriptor, ENOSPC: no watch left, EACCES: a directory that may not be read,
 * ENAMETOOLONG: a way through more directories or longer names than fit. Any thread. */
int watch_inotify_errno(const watcher *w);

/*
 * The state of a path: what stat says of it and of the links that lead to it. Equal states of the same path mean that
 * nothing has happened to it as far as the file system can tell.
 */
typedef struct watch_state {
    int error;                 /* 0, or the errno value of resolving it: ENOENT for none, ELOOP, EACCES, ... */
    unsigned long long digest; /* device, inode, size, mode, owner, times of the file and of each link on the way, the
                                * links' texts; of the directories that hold them device, inode, mode and owner */
} watch_state;

/* The present state of an absolute path. Opens nothing. Any thread; needs 16 KiB of stack. */
watch_state watch_look(const char *path);

#endif
