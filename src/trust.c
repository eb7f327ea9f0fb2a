#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

typedef struct checker {
    char *why;
    size_t why_size;
    bool ok;
    int error; /* for errno, once it is not ok */
} checker;

/* A walk along an absolute path, from descriptor to descriptor: what is checked is what the next name is looked up in, and
 * cannot be put in its place afterwards. */
typedef struct walk {
    checker *c;
    int at; /* the directory reached */
    int links;
    char so_far[PATH_MAX];  /* its path without links, for the reason alone */
    char pending[PATH_MAX]; /* the rest of the way */
} walk;

static void refuse_for(checker *c, const char *what, const char *path, const char *reason, int error) {
    if (!c->ok) return;
    snprintf(c->why, c->why_size, "%s %s %s", what, path, reason);
    c->error = error;
    c->ok = false;
}

static void refuse(checker *c, const char *what, const char *path, const char *reason) {
    refuse_for(c, what, path, reason, 0);
}

static void refuse_system(checker *c, const char *what, const char *path, int error) {
    refuse_for(c, what, path, strerror(error), error);
}

static void check_owner(checker *c, const struct stat *st, const char *what, const char *path) {
    char reason[96];
    if (st->st_uid == 0 || st->st_uid == geteuid()) return;
    snprintf(reason, sizeof reason, "is owned by user %lu, who is neither root nor this process's user",
             (unsigned long)st->st_uid);
    refuse(c, what, path, reason);
}

static void check_mode(checker *c, const struct stat *st, const char *what, const char *path) {
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) refuse(c, what, path, "is writable by others than its owner");
}

/* The directory reached. `holds` says that it holds the file, or a link to it. */
static void check_directory(walk *w, bool holds) {
    struct stat st;
    if (fstat(w->at, &st) != 0) {
        refuse_system(w->c, "directory", w->so_far, errno);
        return;
    }
    check_owner(w->c, &st, "directory", w->so_far);
    if (holds || (st.st_mode & S_ISVTX) == 0) check_mode(w->c, &st, "directory", w->so_far);
}

/* Go to the directory that `fd` is open on, which is taken; so_far is for the caller to set. */
static void enter(walk *w, int fd) {
    close(w->at);
    w->at = fd;
}

/* Open `name` in the directory reached. -1: refused. */
static int open_name(walk *w, const char *name, int flags, const char *path) {
    int fd = openat(w->at, name, O_PATH | O_CLOEXEC | flags);
    if (fd < 0) refuse_system(w->c, "path", path, errno);
    return fd;
}

static void go_to_root(walk *w) {
    int fd = open_name(w, "/", O_DIRECTORY, "/");
    if (fd < 0) return;
    enter(w, fd);
    strcpy(w->so_far, "/");
}

static void go_up(walk *w) {
    int fd = open_name(w, "..", O_DIRECTORY, w->so_far);
    char *up = strrchr(w->so_far, '/');
    up[up == w->so_far ? 1 : 0] = '\0';
    if (fd >= 0) enter(w, fd);
}

/* Put the text of the link `path`, on which `fd` is open, in front of what is left of the way. */
static void follow(walk *w, int fd, const char *path) {
    char target[PATH_MAX];
    ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
    int error = 0;
    if (n < 0)
        error = errno;
    else if (++w->links > LINKS_MAX)
        error = ELOOP;
    else if ((size_t)n + 1 + strlen(w->pending) + 1 > PATH_MAX)
        error = ENAMETOOLONG;
    if (error != 0) {
        refuse_system(w->c, "link", path, error);
        return;
    }
    memmove(w->pending + n + 1, w->pending, strlen(w->pending) + 1);
    memcpy(w->pending, target, (size_t)n);
    w->pending[n] = '/';
    if (target[0] == '/') go_to_root(w);
}

/* One component, `name` of `n` bytes, `rest` behind it. Whether `wanted` was reached by it, the end of the way. */
static bool step(walk *w, const char *name, size_t n, const char *rest, const struct stat *wanted) {
    char next[PATH_MAX];
    size_t len = strcmp(w->so_far, "/") == 0 ? 0 : strlen(w->so_far);
    struct stat st;
    if (len + 1 + n >= sizeof next) {
        refuse_system(w->c, "path", w->so_far, ENAMETOOLONG);
        return false;
    }
    memcpy(next, w->so_far, len);
    next[len] = '/';
    memcpy(next + len + 1, name, n);
    next[len + 1 + n] = '\0';
    int fd = open_name(w, next + len + 1, O_NOFOLLOW, next);
    if (fd < 0) return false;
    bool last = *rest == '\0', is_link = false;
    if (fstat(fd, &st) != 0)
        refuse_system(w->c, "path", next, errno);
    else
        is_link = S_ISLNK(st.st_mode);
    check_directory(w, last || is_link);
    memmove(w->pending, rest, strlen(rest) + 1);
    if (is_link) check_owner(w->c, &st, "link", next);
    if (w->c->ok && is_link) follow(w, fd, next);
    if (!w->c->ok || is_link || last) {
        close(fd);
        return w->c->ok && !is_link && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
    }
    enter(w, fd);
    strcpy(w->so_far, next);
    return false;
}

/* Walk an absolute path component by component, as the kernel does, and check every directory and link on the way, which
 * must end at `wanted`. */
static void check_path(checker *c, const char *path, const struct stat *wanted) {
    walk w = {.c = c, .so_far = "/"};
    bool there = false;
    if (strlen(path) >= sizeof w.pending) {
        refuse_system(c, "path", path, ENAMETOOLONG);
        return;
    }
    strcpy(w.pending, path);
    w.at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w.at < 0) {
        refuse_system(c, "directory", "/", errno);
        return;
    }
    while (c->ok && !there) {
        char *p = w.pending + strspn(w.pending, "/");
        size_t n = strcspn(p, "/");
        const char *rest = p + n + strspn(p + n, "/");
        if (n == 0) break;
        if (n == 1 && p[0] == '.') {
            memmove(w.pending, rest, strlen(rest) + 1);
        } else if (n == 2 && p[0] == '.' && p[1] == '.') {
            go_up(&w);
            memmove(w.pending, rest, strlen(rest) + 1);
        } else {
            there = step(&w, p, n, rest, wanted);
        }
    }
    close(w.at);
    if (!there) refuse_for(c, "path", path, "changed while it was looked at", ESTALE);
}

bool trust_check(const char *path, int fd, char *why, size_t why_size) {
    checker c = {.why = why, .why_size = why_size, .ok = true};
    struct stat st;
    if (fstat(fd, &st) != 0) {
        refuse_system(&c, "file", path, errno);
    } else {
        check_owner(&c, &st, "file", path);
        check_mode(&c, &st, "file", path);
        if (c.ok) check_path(&c, path, &st);
    }
    errno = c.error;
    return c.ok;
}
