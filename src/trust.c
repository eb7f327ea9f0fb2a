#include "trust.h"

#include <errno.h>
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
    int links;
    bool ok;
} checker;

static void refuse(checker *c, const char *what, const char *path, const char *reason) {
    if (c->ok) snprintf(c->why, c->why_size, "%s %s %s", what, path, reason);
    c->ok = false;
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

/* One directory on the way. `holds` says that it holds the file, or a link to it. */
static void check_directory(checker *c, const char *path, bool holds) {
    struct stat st;
    if (stat(path, &st) != 0) {
        refuse(c, "directory", path, strerror(errno));
        return;
    }
    check_owner(c, &st, "directory", path);
    if (holds || (st.st_mode & S_ISVTX) == 0) check_mode(c, &st, "directory", path);
}

static void check_path(checker *c, const char *path);

/* Check what the link `path` in `directory` points at, followed by the rest of the path. */
static void check_link(checker *c, const char *directory, const char *path, const char *rest) {
    char target[PATH_MAX], joined[3 * PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        refuse(c, "link", path, strerror(errno));
        return;
    }
    target[n] = '\0';
    if (++c->links > LINKS_MAX) {
        refuse(c, "link", path, strerror(ELOOP));
        return;
    }
    if (target[0] == '/')
        snprintf(joined, sizeof joined, "%s%s%s", target, *rest != '\0' ? "/" : "", rest);
    else
        snprintf(joined, sizeof joined, "%s/%s%s%s", directory, target, *rest != '\0' ? "/" : "", rest);
    check_path(c, joined);
}

/* Check every directory and link of an absolute path, then the path it leads to. A component "..": the directory before
 * it was checked, and so was every one above it, for the walk came through them or through a link that named them. */
static void check_path(checker *c, const char *path) {
    char so_far[PATH_MAX] = "/";
    size_t len = 1; /* of so_far */
    const char *p = path;
    while (c->ok) {
        while (*p == '/') p++;
        if (*p == '\0') return;
        size_t n = strcspn(p, "/");
        const char *rest = p + n;
        while (*rest == '/') rest++;
        bool last = *rest == '\0';
        if (n == 1 && p[0] == '.') {
            p = rest;
            continue;
        }
        char next[PATH_MAX];
        if (len + 1 + n >= sizeof next) {
            refuse(c, "path", path, strerror(ENAMETOOLONG));
            return;
        }
        memcpy(next, so_far, len);
        size_t at = len > 1 ? len : 0;
        next[at] = '/';
        memcpy(next + at + 1, p, n);
        next[at + 1 + n] = '\0';
        struct stat st;
        if (lstat(next, &st) != 0) {
            refuse(c, "path", next, strerror(errno));
            return;
        }
        bool link = S_ISLNK(st.st_mode);
        check_directory(c, so_far, last || link);
        if (link) {
            check_owner(c, &st, "link", next);
            if (c->ok) check_link(c, so_far, next, rest);
            return;
        }
        len = at + 1 + n;
        memcpy(so_far, next, len + 1);
        p = rest;
    }
}

bool trust_check(const char *path, int fd, char *why, size_t why_size) {
    checker c = {.why = why, .why_size = why_size, .ok = true};
    struct stat st;
    if (fstat(fd, &st) != 0) {
        refuse(&c, "file", path, strerror(errno));
        return false;
    }
    check_owner(&c, &st, "file", path);
    check_mode(&c, &st, "file", path);
    if (c.ok) check_path(&c, path);
    return c.ok;
}
