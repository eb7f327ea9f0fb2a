/*
 * The hook table: keys, suffix match, hit and removal rules. Knows no Lua.
 *
 * A key is (file, line). A hook matches a chunk name that ends with `file`, at that very line: exactly the rule
 * "source#line ends with file#line", since a line number holds no '#'. Hooks on the returns of functions have places of
 * their own: for these a `line` below is HOOKS_RETURN plus the line on which the functions' code begins.
 *
 * Cost: a line number that no hook has is rejected by one load from a small array (hooks_has_line). A chunk name is
 * matched by walking it backwards through a trie of all files, so rejection costs no more than the longest common tail,
 * however many hooks there are.
 *
 * Changes during a dispatch (from inside a filter) take effect at once: a removed hook does not run any more, a new one
 * runs from the next arrival on. Removed hooks are released, and the table freed, when the dispatch has ended, so that
 * a running filter keeps its own ground.
 *
 * Not thread-safe: a table belongs to one VM.
 */
#ifndef LJINSPECT_HOOKS_H
#define LJINSPECT_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOOKS_LINE_MAX = 16777215, HOOKS_RETURN = HOOKS_LINE_MAX + 1 };

typedef struct hook_table hook_table;
typedef struct hook_place hook_place; /* all hooks of one key */

typedef struct hook {
    int64_t id;      /* unique within the table's owner, increasing */
    const char *key; /* "file#line", "file#line:return" */
    const char *file;
    size_t file_len;
    int line;
    int at;           /* what the table and the engine take for its line: with HOOKS_RETURN, if it is on returns */
    uint64_t hits;    /* arrivals */
    uint64_t matched; /* of them those that the condition held for */
    uint64_t dropped; /* matched but not reported, or passed over while the hook was suspended */
    uint64_t errors;
    uint64_t timed; /* hits whose cost was measured */
    bool removed;   /* out of force, waiting for the end of the dispatch */
    int places;     /* in how many loaded functions the line was last found; the owner's */
    int locals;     /* how many it was last hit with; the owner's */
    void *filter;   /* the owner's; given back through hook_release_fn */
    hook_place *place;
    struct hook *next_in_place;
    struct hook *prev, *next; /* all hooks of the table, in id order */
} hook;

/* Called once for each hook that leaves the table; the hook is freed afterwards. Must not change the table. */
typedef void (*hook_release_fn)(hook *h, void *owner);

/* NULL when memory is short. */
hook_table *hooks_new(hook_release_fn release, void *owner);

/* Remove all hooks and free the table; while it is pinned that waits for the last hooks_unpin(). NULL is allowed. */
void hooks_free(hook_table *t);

/* Add a hook after all others. `id` must be larger than any in the table, `file` hold no NUL. NULL when memory is
 * short: nothing has changed then, and `filter` is still the caller's. */
hook *hooks_add(hook_table *t, int64_t id, const char *file, size_t file_len, int line, void *filter);

/* Take a hook out of force. Does nothing for a hook that is removed already. */
void hooks_remove(hook_table *t, hook *h);

/* Each returns NULL where there is none; removed hooks are passed over. */
hook *hooks_first(const hook_table *t);
hook *hooks_next(const hook *h);
hook *hooks_find_id(const hook_table *t, int64_t id);
hook *hooks_first_with_key(const hook_table *t, const char *file, size_t file_len, int line);
size_t hooks_count(const hook_table *t);

/* Whether hooks_dispatch() is under way. */
bool hooks_dispatching(const hook_table *t);

/* While pinned, pointers to the table's hooks stay valid, removed or not. Pins nest. The last unpin frees what was
 * removed, and the table itself if hooks_free() was called meanwhile. */
void hooks_pin(hook_table *t);
void hooks_unpin(hook_table *t);

/* Whether one file matches one chunk name. */
bool hooks_suffix(const char *source, size_t source_len, const char *file, size_t file_len);

/* Whether any hook is hit at (source, line). */
bool hooks_matches(const hook_table *t, const char *source, size_t source_len, int line);

/* Whether the chunk name matches the file of any hook, whatever the line. */
bool hooks_knows_source(const hook_table *t, const char *source, size_t source_len);

/* Called for one hook that is hit. May add and remove hooks and free the table. */
typedef void (*hook_visit_fn)(hook *h, void *arg);

/*
 * Visit the hooks that are hit at (source, line), in id order; what `visit` adds is not visited, what it removes is not
 * visited any more. Counts no hits, allocates nothing. Returns how many were visited; 0 for a dispatch within a
 * dispatch of the same table. After the return the table is gone if hooks_free() was called meanwhile.
 */
int hooks_dispatch(hook_table *t, const char *source, size_t source_len, int line, hook_visit_fn visit, void *arg);

/* What hooks_has_line() reads inline: how many hooks have a line of each residue. First member of the table. */
enum { HOOKS_LINE_RESIDUES = 1024 };
struct hook_line_filter {
    uint32_t hooks[HOOKS_LINE_RESIDUES];
};

bool hooks_has_line_exactly(const hook_table *t, int line);

/* Whether any hook has this line. A few nanoseconds. */
static inline bool hooks_has_line(const hook_table *t, int line) {
    const struct hook_line_filter *filter = (const struct hook_line_filter *)(const void *)t;
    return filter->hooks[(unsigned)line % HOOKS_LINE_RESIDUES] != 0 && hooks_has_line_exactly(t, line);
}

#endif
