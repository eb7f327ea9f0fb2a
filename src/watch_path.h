/*
 * How a path leads to a file: which directories an observer has to listen to, and what stat says along the way.
 *
 * The path is resolved by hand, one component after the other, because the kernel tells an observer about names in
 * directories and each symbolic link on the way is a name of its own. Nothing here allocates, opens or blocks on a
 * FIFO; only lstat, stat and readlink are called. A file system that hangs makes these hang.
 */
#ifndef LJINSPECT_WATCH_PATH_H
#define LJINSPECT_WATCH_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "watch.h"

#define WATCH_LINKS_MAX 40 /* as the kernel: MAXSYMLINKS in include/linux/namei.h; one more is ELOOP */
#define WATCH_NODES_MAX 128
#define WATCH_NAMES_MAX 48 /* WATCH_LINKS_MAX and the file itself fit */
#define WATCH_TEXT_MAX 16384

enum watch_node_kind {
    WATCH_PASSED, /* a directory that the path only passes: it matters when it is moved or deleted itself */
    WATCH_HOLDER, /* a directory in which a name matters */
    WATCH_FILE    /* the file itself, if regular: it may be written through another hard link or mount */
};

enum watch_name_kind {
    WATCH_NAME_FILE,   /* the end of the path */
    WATCH_NAME_LINK,   /* a symbolic link on the way */
    WATCH_NAME_MISSING /* the way ends here: nothing there, not a directory, or not to be seen */
};

typedef struct watch_node {
    enum watch_node_kind kind;
    dev_t dev; /* (dev, ino) is unique among the directories of a plan */
    ino_t ino;
    const char *path; /* no symbolic link in it */
    int wd;           /* the observer's; -1 in a new plan */
} watch_node;

typedef struct watch_name {
    enum watch_name_kind kind;
    size_t node; /* index of the holder */
    const char *name;
} watch_name;

/* Large (some 20 KiB) and self-contained; may not be copied, as the strings lie in it. */
typedef struct watch_plan {
    watch_state state; /* as watch_look() */
    int error;         /* 0, or an errno value: the plan does not name all that matters */
    size_t node_count;
    size_t name_count;
    size_t text_used;
    watch_node nodes[WATCH_NODES_MAX];
    watch_name names[WATCH_NAMES_MAX];
    char text[WATCH_TEXT_MAX];
} watch_plan;

/* Forget what the plan holds: no nodes, no names. */
void watch_plan_clear(watch_plan *plan);

/* Resolve `path` and say what to listen to. Cannot fail: with plan->error set the plan holds as much as there is room
 * for, and its state is right all the same. Not atomic: whoever acts on a plan makes another one afterwards and
 * compares. */
void watch_plan_make(watch_plan *plan, const char *path);

/* True when a node of the plan has this watch descriptor. */
bool watch_plan_has_wd(const watch_plan *plan, int wd);

/* True when a symbolic link has this name of the plan now. */
bool watch_name_is_link(const watch_plan *plan, const watch_name *name);

/* True when both plans ask to listen to the same names in the same directories. */
bool watch_plan_equal(const watch_plan *a, const watch_plan *b);

bool watch_state_equal(watch_state a, watch_state b);

#endif
