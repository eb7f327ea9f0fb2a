/* What the tests of the file watcher share: a directory, a reader, what is waited for. */
#ifndef LJINSPECT_TEST_WATCHING_H
#define LJINSPECT_TEST_WATCHING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitizers.h"
#include "watch.h"
#include "watch_path.h"

#define UNUSED __attribute__((unused))

#define DEADLINE_MS 10000
#define QUIET_MS 120
#define EDITING_MS 5000 /* a slow disk gets fewer edits */

typedef struct fixture {
    bool poll_only;
    int delay_ms;
    char dir[64];
    char known[64]; /* what the reader read last; "-" for no file */
    watcher *w;
    atomic_int wakes;
    atomic_bool editing; /* another thread changes files: deadlines count from its end */
} fixture;

UNUSED static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

UNUSED static void sleep_ms(long ms) {
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) != 0) {
    }
}

UNUSED static int setup(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    f->poll_only = *state != NULL;
    f->delay_ms = f->poll_only ? 20 : 60000;
    strcpy(f->dir, "/tmp/test_watch.XXXXXX");
    *state = f;
    return mkdtemp(f->dir) != NULL ? 0 : -1;
}

UNUSED static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

UNUSED static int teardown(void **state) {
    fixture *f = *state;
    watch_stop(f->w);
    int rc = nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return rc;
}

/* `name` below the test's directory; an absolute one as it is. Four results are valid at a time. */
UNUSED static const char *in(const fixture *f, const char *name) {
    static _Thread_local char paths[4][PATH_MAX];
    static _Thread_local int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_MAX, "%s%s%s", name[0] == '/' ? "" : f->dir, name[0] == '/' ? "" : "/", name);
    return path;
}

UNUSED static void put(const fixture *f, const char *name, const char *text) {
    int fd = open(in(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

UNUSED static void move(const fixture *f, const char *from, const char *to) {
    assert_int_equal(rename(in(f, from), in(f, to)), 0);
}

UNUSED static void put_over(const fixture *f, const char *name, const char *text) {
    put(f, ".new", text);
    move(f, ".new", name);
}

UNUSED static void make_dir(const fixture *f, const char *name) {
    assert_int_equal(mkdir(in(f, name), 0755), 0);
}

UNUSED static void make_link(const fixture *f, const char *target, const char *name) {
    assert_int_equal(symlink(target, in(f, name)), 0);
}

UNUSED static void remove_file(const fixture *f, const char *name) {
    assert_int_equal(unlink(in(f, name)), 0);
}

UNUSED static void count_wake(void *owner) {
    fixture *f = owner;
    atomic_fetch_add(&f->wakes, 1);
}

UNUSED static void start(fixture *f, const char *name) {
    watch_options options = {
        .path = in(f, name), .delay_ms = f->delay_ms, .poll_only = f->poll_only, .wake = count_wake, .owner = f};
    assert_int_equal(watch_start(&options, &f->w), 0);
    assert_non_null(f->w);
}

UNUSED static void stop(fixture *f) {
    watch_stop(f->w);
    f->w = NULL;
}

UNUSED static bool reported_within(const fixture *f, int ms) {
    int64_t end = now_ms() + ms;
    while (!watch_take(f->w)) {
        if (now_ms() >= end) {
            return false;
        }
        sleep_ms(1);
    }
    return true;
}

UNUSED static void expect_report(const fixture *f) {
    assert_true(reported_within(f, DEADLINE_MS));
}

UNUSED static void expect_none(const fixture *f) {
    assert_false(reported_within(f, 300));
}

/* Take what is still reported of earlier changes, so that the next report is about the next change. */
UNUSED static void drain(const fixture *f) {
    int64_t end = now_ms() + DEADLINE_MS;
    while (reported_within(f, QUIET_MS)) {
        assert_true(now_ms() < end);
    }
}

/* The reader takes reports until it knows that the file says `text` ("-" for no file). */
UNUSED static void expect_text(fixture *f, const char *name, const char *text) {
    int64_t end = now_ms() + DEADLINE_MS;

    for (strcpy(f->known, "?"); strcmp(f->known, text) != 0;) {
        if (watch_take(f->w)) {
            int fd = open(in(f, name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
            ssize_t got = fd < 0 ? -1 : read(fd, f->known, sizeof(f->known) - 1);
            strcpy(f->known + (got < 0 ? 0 : got), got < 0 ? "-" : "");
            if (fd >= 0) {
                close(fd);
            }
        } else if (atomic_load(&f->editing)) {
            end = now_ms() + DEADLINE_MS;
            sched_yield();
        } else if (now_ms() >= end) {
            fail_msg("the reader knows \"%s\" and not \"%s\"", f->known, text);
        } else {
            sleep_ms(1);
        }
    }
    drain(f);
}

UNUSED static void expect_mode(const fixture *f, enum watch_mode mode) {
    int64_t end = now_ms() + DEADLINE_MS;
    while (watch_mode(f->w) != mode) {
        assert_true(now_ms() < end);
        sleep_ms(1);
    }
}

UNUSED static int count_entries(const char *path) {
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

UNUSED static int inotify_descriptor(void) {
    for (int fd = 0; fd < 256; fd++) {
        char path[64];
        char target[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "anon_inode:inotify") == 0) {
            return fd;
        }
    }
    return -1;
}

/* The exit status of a child that runs `body`. */
UNUSED static int in_child(fixture *f, int (*body)(fixture *f)) {
    int status = 0;
#ifdef __SANITIZE_ADDRESS__
    /* Its allocator is not made for fork(): the watcher's thread must not be in it, or the child hangs. */
    usleep(200000);
#endif
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Leave room for `count` more descriptors. */
UNUSED static struct rlimit limit_descriptors(unsigned count) {
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    struct rlimit low = {.rlim_cur = (rlim_t)fd + count, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return old;
}

UNUSED static bool write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return written;
}

/* A test of a watcher that the system notifies, of one that polls, or of either. */
UNUSED static char polling[] = "polling";

#define INOTIFY(test) \
    { #test, test, setup, teardown, NULL }
#define POLLING(test) \
    { #test ", polling", test, setup, teardown, polling }
#define BOTH(test) INOTIFY(test), POLLING(test)

#endif
