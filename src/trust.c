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

/* Put the text of the link `path` in front of what is left of the way. False: refused. */
static bool follow(checker *c, const char *path, char pending[PATH_MAX]) {
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    const char *reason = NULL;
    if (n < 0)
        reason = strerror(errno);
    else if (++c->links > LINKS_MAX)
        reason = strerror(ELOOP);
    else if ((size_t)n + 1 + strlen(pending) + 1 > PATH_MAX)
        reason = strerror(ENAMETOOLONG);
    if (reason != NULL) {
        refuse(c, "link", path, reason);
        return false;
    }
    memmove(pending + n + 1, pending, strlen(pending) + 1);
    memcpy(pending, target, (size_t)n);
    pending[n] = '/';
    return true;
}

/* Walk an absolute path component by component, as the kernel does, and check every directory and link on the way.
 * `so_far` is where the walk stands, without links in it; `pending` is the rest. */
static void check_path(checker *c, const char *path) {
    char so_far[PATH_MAX] = "/", next[PATH_MAX], pending[PATH_MAX];
    if (strlen(path) >= sizeof pending) {
        refuse(c, "path", path, strerror(ENAMETOOLONG));
        return;
    }
    strcpy(pending, path);
    while (c->ok) {
        char *p = pending + strspn(pending, "/");
        size_t n = strcspn(p, "/"), len = strcmp(so_far, "/") == 0 ? 0 : strlen(so_far);
        const char *rest = p + n + strspn(p + n, "/");
        struct stat st;
        if (n == 0) return;
        if (n == 1 && p[0] == '.') {
            memmove(pending, rest, strlen(rest) + 1);
            continue;
        }
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            char *up = strrchr(so_far, '/');
            up[up == so_far ? 1 : 0] = '\0';
            memmove(pending, rest, strlen(rest) + 1);
            continue;
        }
        if (len + 1 + n >= sizeof next) {
            refuse(c, "path", path, strerror(ENAMETOOLONG));
            return;
        }
        memcpy(next, so_far, len);
        next[len] = '/';
        memcpy(next + len + 1, p, n);
        next[len + 1 + n] = '\0';
        if (lstat(next, &st) != 0) {
            refuse(c, "path", next, strerror(errno));
            return;
        }
        check_directory(c, so_far, *rest == '\0' || S_ISLNK(st.st_mode));
        memmove(pending, rest, strlen(rest) + 1);
        if (S_ISLNK(st.st_mode)) {
            check_owner(c, &st, "link", next);
            if (!c->ok || !follow(c, next, pending)) return;
            if (pending[0] == '/') strcpy(so_far, "/");
        } else {
            strcpy(so_far, next);
        }
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
