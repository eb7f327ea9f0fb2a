/*
 * The hook table: keys, suffix match, hit and removal rules. Knows no Lua.
 *
 * A key is (file, line). A hook matches a chunk name that ends with `file`, at that very line: exactly the rule
 * "source#line ends with file#line", since a line number holds no '#'.
 *
 * Cost: a line number that no hook has is rejected by one load from a small array (hooks_has_line). A chunk name is
 * matched by walking it backwards through a trie of all files, so rejection costs no more than the longest common tail,
 * however many hooks there are.
 *
 * Changes during a dispatch (from inside a filter) take effect at once: a removed hook does not run any more, a new one
 * runs from the next arrival on. Memory of removed hooks, and of the table itself, is kept until the dispatch ends.
 *
 * Not thread-safe: a table belongs to one VM.
 */
#ifndef LJINSPECT_HOOKS_H
#define LJINSPECT_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOOKS_LINE_MAX 16777215 /* bytecode line info has 24 bits: lj_parse.c, LJ_MAX_LINE is 0x7fffff00, lineinfo less */

typedef struct hook_table hook_table;
typedef struct hook_place hook_place; /* all hooks of one key */

typedef struct hook {
    int64_t id;         /* unique within the table's owner, increasing */
    const char *key;    /* "file#line" */
    const char *file;   /* NUL-terminated; may hold no NUL */
    size_t file_len;
    int line;
    uint64_t hits;
    uint64_t errors;
    bool removed;       /* out of force; memory kept while a dispatch runs */
    bool seen;          /* hit at least once, or found in loaded code */
    void *filter;       /* the owner's; released through hook_table_release */
    hook_place *place;
    struct hook *next_in_place;
    struct hook *prev, *next; /* all hooks of the table, in id order */
} hook;

/* Called once for each hook that leaves the table. */
typedef void (*hook_release_fn)(hook *h, void *owner);

/* NULL when memory is short. */
hook_table *hooks_new(hook_release_fn release, void *owner);

/* Remove all hooks and free the table; while a dispatch runs the memory stays until it ends. NULL is allowed. */
void hooks_free(hook_table *t);

/* Add a hook after all others. `id` must be larger than any in the table. NULL when memory is short: nothing changed
 * then, and `filter` is still the caller's. */
hook *hooks_add(hook_table *t, int64_t id, const char *file, size_t file_len, int line, void *filter);

/* Take a hook out of force and release it. Does nothing for a hook that was removed already. */
void hooks_remove(hook_table *t, hook *h);

hook *hooks_find_id(const hook_table *t, int64_t id);       /* NULL where there is none */
hook *hooks_first_with_key(const hook_table *t, const char *file, size_t file_len, int line);
hook *hooks_first(const hook_table *t);                     /* in id order; NULL where there is none */
hook *hooks_next(const hook *h);
size_t hooks_count(const hook_table *t);

/* True if some hook has this line. A few nanoseconds. */
static inline bool hooks_has_line(const hook_table *t, int line);

/* True if some hook is hit at (source, line). */
bool hooks_matches(hook_table *t, const char *source, size_t source_len, int line);

/* True if the chunk name matches the file of any hook, whatever the line. */
bool hooks_knows_source(hook_table *t, const char *source, size_t source_len);

/* Whether one file matches one chunk name. */
bool hooks_suffix(const char *source, size_t source_len, const char *file, size_t file_len);

/*
 * Visit the hooks that are hit at (source, line), in id order; what `visit` adds is not visited, what it removes is not
 * visited any more. Counts no hits. Allocates nothing. Returns how many were visited. After the return `t` may be gone
 * if hooks_free() was called meanwhile.
 */
typedef void (*hook_visit_fn)(hook_table *t, hook *h, void *arg);
int hooks_dispatch(hook_table *t, const char *source, size_t source_len, int line, hook_visit_fn visit, void *arg);

/* The part of the table that hooks_has_line reads inline; private otherwise. */
enum { HOOKS_LINE_BUCKETS = 1024 };
struct hook_lines {
    uint32_t count[HOOKS_LINE_BUCKETS]; /* hooks whose line falls into the bucket */
    uint64_t bits;                      /* unused buckets of 1024/64 lines each have a 0 here */
};
struct hook_line_set; /* exact lines */
bool hooks_has_line_exact(const hook_table *t, int line);

struct hook_table_head {
    uint32_t line_bucket[HOOKS_LINE_BUCKETS];
};

static inline bool hooks_has_line(const hook_table *t, int line) {
    const struct hook_table_head *head = (const struct hook_table_head *)(const void *)t;
    return head->line_bucket[(unsigned)line % HOOKS_LINE_BUCKETS] != 0 && hooks_has_line_exact(t, line);
}

#endif
