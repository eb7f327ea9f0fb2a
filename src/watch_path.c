/*
 * Resolving a path by hand: see watch_path.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "watch_path.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"

typedef struct walk {
    watch_plan *plan; /* NULL: only the digest is wanted */
    int error;        /* why the walk is not complete */
    uint64_t links;   /* digest of the links met */
    uint64_t holders; /* digest of the directories that hold them and the file */
    struct stat dir;  /* of the directory reached */
    size_t at_len;
    size_t rest_start; /* rest[rest_start] is the first character still to be resolved */
    char at[PATH_MAX]; /* its path: no link, "." or ".." in it, no slash at the end; "" is the root */
    char rest[PATH_MAX];
    char link[PATH_MAX];
} walk;

/* What says whose something is and what may be done with it; not its times, which in a directory change with every
 * file that comes and goes. */
static uint64_t digest_owner(uint64_t digest, const struct stat *st) {
    uint64_t fields[] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_mode, (uint64_t)st->st_uid,
                         (uint64_t)st->st_gid};

    return digest_bytes(digest, fields, sizeof(fields));
}

static uint64_t digest_stat(uint64_t digest, const struct stat *st) {
    uint64_t fields[] = {(uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
                         (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec};

    return digest_bytes(digest_owner(digest, st), fields, sizeof(fields));
}

/* A copy of `text` in the plan, or NULL when it is full. */
static const char *plan_text(watch_plan *plan, const char *text, size_t len) {
    if (len >= WATCH_TEXT_MAX - plan->text_used) {
        plan->error = ENAMETOOLONG;
        return NULL;
    }
    char *copy = plan->text + plan->text_used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    plan->text_used += len + 1;
    return copy;
}

/* The node of a directory, or of the file; made when there is none yet. NULL when the plan is full. A directory that
 * holds a name stays a holder however often the path passes it. */
static watch_node *plan_node(watch_plan *plan, enum watch_node_kind kind, const struct stat *st, const char *path,
                             size_t path_len) {
    for (size_t i = 0; i < plan->node_count; i++) {
        watch_node *node = &plan->nodes[i];
        if (node->dev == st->st_dev && node->ino == st->st_ino) {
            if (kind == WATCH_HOLDER) {
                node->kind = WATCH_HOLDER;
            }
            return node;
        }
    }
    if (plan->node_count == WATCH_NODES_MAX) {
        plan->error = ENAMETOOLONG;
        return NULL;
    }
    const char *copy = path_len == 0 ? plan_text(plan, "/", 1) : plan_text(plan, path, path_len);
    if (copy == NULL) {
        return NULL;
    }
    watch_node *node = &plan->nodes[plan->node_count++];
    *node = (watch_node){.kind = kind, .dev = st->st_dev, .ino = st->st_ino, .path = copy, .wd = -1};
    return node;
}

/* The path leads through the directory reached, which is not the root: that one can neither move nor go. */
static void note_passed(walk *k) {
    if (k->plan != NULL) {
        (void)plan_node(k->plan, WATCH_PASSED, &k->dir, k->at, k->at_len);
    }
}

/* `name` in the directory reached matters. */
static void note_name(walk *k, enum watch_name_kind kind, const char *name, size_t name_len) {
    watch_plan *plan = k->plan;

    k->holders = digest_owner(k->holders, &k->dir);
    if (plan == NULL) {
        return;
    }
    watch_node *node = plan_node(plan, WATCH_HOLDER, &k->dir, k->at, k->at_len);
    if (node == NULL) {
        return;
    }
    size_t index = (size_t)(node - plan->nodes);
    for (size_t i = 0; i < plan->name_count; i++) {
        watch_name *known = &plan->names[i];
        if (known->node == index && strncmp(known->name, name, name_len) == 0 && known->name[name_len] == '\0') {
            known->kind = kind;
            return;
        }
    }
    if (plan->name_count == WATCH_NAMES_MAX) {
        plan->error = ENAMETOOLONG;
        return;
    }
    const char *copy = plan_text(plan, name, name_len);
    if (copy != NULL) {
        plan->names[plan->name_count++] = (watch_name){.kind = kind, .node = index, .name = copy};
    }
}

/* The directory reached is the one at `at` now. False when it cannot be looked at. */
static bool look_at_dir(walk *k) {
    if (lstat(k->at_len == 0 ? "/" : k->at, &k->dir) != 0) {
        k->error = errno;
        return false;
    }
    return true;
}

static bool go_up(walk *k) {
    while (k->at_len > 0 && k->at[--k->at_len] != '/') {
    }
    k->at[k->at_len] = '\0';
    return look_at_dir(k);
}

/* Put the target of the link at `target` (in the directory reached) in front of what is still to be resolved. */
static bool follow(walk *k, const char *target, const struct stat *st) {
    ssize_t got = readlink(target, k->link, sizeof(k->link) - 1);
    if (got < 0) {
        k->error = errno;
        return false;
    }
    size_t len = (size_t)got;
    k->link[len] = '\0';
    k->links = digest_bytes(digest_stat(k->links, st), k->link, len);

    size_t rest_len = strlen(k->rest + k->rest_start);
    if (len == 0 || len + 1 + rest_len >= sizeof(k->rest)) {
        k->error = ENAMETOOLONG;
        return false;
    }
    memmove(k->rest + len + 1, k->rest + k->rest_start, rest_len + 1);
    memcpy(k->rest, k->link, len);
    k->rest[len] = '/';
    k->rest_start = 0;
    if (k->link[0] != '/') {
        return true;
    }
    k->at_len = 0;
    k->at[0] = '\0';
    return look_at_dir(k);
}

/* Resolve one component. False at the end of the way. */
static bool step(walk *k, int *links) {
    char *name = k->rest + k->rest_start;
    name += strspn(name, "/");
    size_t name_len = strcspn(name, "/");
    k->rest_start = (size_t)(name - k->rest) + name_len;

    if (name_len == 0) {
        return false;
    }
    if (name_len == 1 && name[0] == '.') {
        return true;
    }
    if (name_len == 2 && name[0] == '.' && name[1] == '.') {
        return go_up(k);
    }
    if (k->at_len + 1 + name_len >= sizeof(k->at)) {
        k->error = ENAMETOOLONG;
        return false;
    }

    size_t dir_len = k->at_len;
    size_t full_len = dir_len + 1 + name_len;
    struct stat st;
    k->at[dir_len] = '/';
    memcpy(k->at + dir_len + 1, name, name_len);
    k->at[full_len] = '\0';
    if (lstat(k->at, &st) != 0) {
        note_name(k, WATCH_NAME_MISSING, name, name_len);
        return false;
    }

    bool last = k->rest[k->rest_start + strspn(k->rest + k->rest_start, "/")] == '\0';
    if (S_ISLNK(st.st_mode)) {
        note_name(k, WATCH_NAME_LINK, name, name_len);
        if (++*links > WATCH_LINKS_MAX || !follow(k, k->at, &st)) {
            return false;
        }
        k->at[k->at_len] = '\0';
        return true;
    }
    if (last) {
        note_name(k, WATCH_NAME_FILE, name, name_len);
        if (k->plan != NULL && S_ISREG(st.st_mode)) {
            (void)plan_node(k->plan, WATCH_FILE, &st, k->at, full_len);
        }
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        note_name(k, WATCH_NAME_MISSING, name, name_len);
        return false;
    }
    k->at_len = full_len;
    k->dir = st;
    note_passed(k);
    return true;
}

/* The state of `path`, and the plan where one is wanted. The last word on the file is the kernel's: it knows links
 * that are more than their text (/proc/self/fd/3), and paths that are too long for us. */
static watch_state resolve(const char *path, watch_plan *plan) {
    walk k = {.plan = plan, .links = DIGEST_START, .holders = DIGEST_START};
    size_t len = strlen(path);
    int links = 0;

    if (len < sizeof(k.rest)) {
        memcpy(k.rest, path, len + 1);
        if (look_at_dir(&k)) {
            while (step(&k, &links)) {
            }
        }
    } else {
        k.error = ENAMETOOLONG;
    }
    if (plan != NULL && plan->error == 0) {
        plan->error = k.error;
    }

    watch_state state = {.error = 0};
    struct stat st;
    uint64_t digest = k.links;
    if (stat(path, &st) == 0) {
        digest = digest_stat(digest, &st);
        digest = digest_bytes(digest, &k.holders, sizeof(k.holders));
    } else {
        state.error = errno;
        digest = digest_bytes(digest, &state.error, sizeof(state.error));
    }
    state.digest = digest;
    return state;
}

void watch_plan_clear(watch_plan *plan) {
    plan->state = (watch_state){0};
    plan->error = 0;
    plan->node_count = 0;
    plan->name_count = 0;
    plan->text_used = 0;
}

void watch_plan_make(watch_plan *plan, const char *path) {
    watch_plan_clear(plan);
    plan->state = resolve(path, plan);
}

bool watch_plan_has_wd(const watch_plan *plan, int wd) {
    for (size_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i].wd == wd) {
            return true;
        }
    }
    return false;
}

bool watch_name_is_link(const watch_plan *plan, const watch_name *name) {
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/%s", plan->nodes[name->node].path, name->name);

    return len > 0 && (size_t)len < sizeof(path) && lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

bool watch_plan_equal(const watch_plan *a, const watch_plan *b) {
    if (a->node_count != b->node_count || a->name_count != b->name_count) {
        return false;
    }
    for (size_t i = 0; i < a->node_count; i++) {
        const watch_node *x = &a->nodes[i];
        const watch_node *y = &b->nodes[i];
        if (x->kind != y->kind || x->dev != y->dev || x->ino != y->ino || strcmp(x->path, y->path) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < a->name_count; i++) {
        const watch_name *x = &a->names[i];
        const watch_name *y = &b->names[i];
        if (x->kind != y->kind || x->node != y->node || strcmp(x->name, y->name) != 0) {
            return false;
        }
    }
    return true;
}

bool watch_state_equal(watch_state a, watch_state b) {
    return a.error == b.error && a.digest == b.digest;
}

watch_state watch_look(const char *path) {
    return resolve(path, NULL);
}
