#include "hooks.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One character of the files, read from their ends. The path from the root to a node spells a tail of a file; a file
 * ends at the node that has places. */
typedef struct trie_node {
    struct trie_node *parent, *child, *sibling;
    size_t places; /* keys whose file ends here */
    unsigned char c;
} trie_node;

struct hook_place {
    trie_node *file;
    int line;
    bool long_file;
    hook *first, *last;       /* in id order, removed ones included while the table is pinned */
    hook_place *next_in_hash; /* chain of place_buckets */
    hook_place *next_match;   /* chain of the running dispatch */
    hook *cursor;             /* next hook of the running dispatch */
};

typedef struct line_entry {
    int line;
    size_t hooks; /* in force on this line */
    struct line_entry *next;
} line_entry;

enum { LINE_BUCKETS = 1024, PLACE_BUCKETS_MIN = 64, RECENT = 64, RECENT_TAIL = 64 };

/* What was matched lately. It is found again by its content, for the chunk name may be gone and another lie there: the
 * last RECENT_TAIL characters decide, as no file is longer. */
typedef struct recent_match {
    uint64_t version; /* of the table; 0: empty */
    hook_place *place;
    size_t source_len;
    int line;
    char tail[RECENT_TAIL];
} recent_match;

struct hook_table {
    struct hook_line_filter filter; /* must be first: see hooks_has_line */
    line_entry *lines[LINE_BUCKETS];
    trie_node root;
    hook_place **place_buckets;
    size_t place_mask; /* buckets - 1 */
    size_t places;
    hook *first, *last;
    size_t count; /* hooks in force */
    unsigned pins;
    uint64_t version;  /* of the set of places, from 1 */
    size_t long_files; /* places whose file is longer than RECENT_TAIL: nothing is remembered then */
    recent_match recent[RECENT];
    bool dispatching;
    bool unswept; /* removed hooks wait for the last unpin */
    bool freed;   /* hooks_free() was called while pinned */
    hook_release_fn release;
    void *owner;
};

/* ---- Files ---- */

/* Step from `node` to the node one character further towards the start of the chunk name; NULL: no file goes on so. */
static trie_node *trie_step(const trie_node *node, char c) {
    trie_node *child = node->child;
    while (child != NULL && child->c != (unsigned char)c) child = child->sibling;
    return child;
}

/* Find the node of a file, or make it. NULL: no memory; what was made in vain is for trie_prune_tail to drop. */
static trie_node *trie_make(hook_table *t, const char *file, size_t len) {
    trie_node *node = &t->root;
    while (len > 0) {
        char c = file[--len];
        trie_node *child = trie_step(node, c);
        if (child == NULL) {
            child = calloc(1, sizeof *child);
            if (child == NULL) return NULL;
            child->c = (unsigned char)c;
            child->parent = node;
            child->sibling = node->child;
            node->child = child;
        }
        node = child;
    }
    return node;
}

/* Free `node` and its ancestors as far as no file needs them. */
static void trie_prune(trie_node *node) {
    while (node->parent != NULL && node->places == 0 && node->child == NULL) {
        trie_node *parent = node->parent;
        trie_node **link = &parent->child;
        while (*link != node) link = &(*link)->sibling;
        *link = node->sibling;
        free(node);
        node = parent;
    }
}

/* Drop what a failed trie_make left: the deepest node that spells a tail of `file`. */
static void trie_prune_tail(hook_table *t, const char *file, size_t len) {
    trie_node *node = &t->root, *child;
    while (len > 0 && (child = trie_step(node, file[--len])) != NULL) node = child;
    trie_prune(node);
}

/* ---- Lines ---- */

static line_entry *line_find(const hook_table *t, int line) {
    line_entry *e = t->lines[(unsigned)line % LINE_BUCKETS];
    while (e != NULL && e->line != line) e = e->next;
    return e;
}

bool hooks_has_line_exactly(const hook_table *t, int line) {
    return line_find(t, line) != NULL;
}

/* Count one more hook on a line. False: no memory. */
static bool line_add(hook_table *t, int line) {
    line_entry *e = line_find(t, line);
    if (e == NULL) {
        e = calloc(1, sizeof *e);
        if (e == NULL) return false;
        e->line = line;
        e->next = t->lines[(unsigned)line % LINE_BUCKETS];
        t->lines[(unsigned)line % LINE_BUCKETS] = e;
    }
    e->hooks++;
    t->filter.hooks[(unsigned)line % HOOKS_LINE_RESIDUES]++;
    return true;
}

static void line_drop(hook_table *t, int line) {
    line_entry **link = &t->lines[(unsigned)line % LINE_BUCKETS];
    while ((*link)->line != line) link = &(*link)->next;
    line_entry *e = *link;
    t->filter.hooks[(unsigned)line % HOOKS_LINE_RESIDUES]--;
    if (--e->hooks == 0) {
        *link = e->next;
        free(e);
    }
}

/* ---- Places ---- */

static size_t place_bucket(const hook_table *t, const trie_node *file, int line) {
    uint64_t x = ((uint64_t)(uintptr_t)file >> 4) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)(unsigned)line;
    x *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(x >> 32) & t->place_mask;
}

static hook_place *place_find(const hook_table *t, const trie_node *file, int line) {
    hook_place *p = t->place_buckets[place_bucket(t, file, line)];
    while (p != NULL && (p->file != file || p->line != line)) p = p->next_in_hash;
    return p;
}

/* Double the buckets. Without memory for that the chains only get longer. */
static void place_grow(hook_table *t) {
    size_t n = (t->place_mask + 1) * 2;
    hook_place **old = t->place_buckets, **buckets = calloc(n, sizeof *buckets);
    if (buckets == NULL) return;
    size_t old_n = t->place_mask + 1;
    t->place_buckets = buckets;
    t->place_mask = n - 1;
    for (size_t i = 0; i < old_n; i++) {
        hook_place *next;
        for (hook_place *p = old[i]; p != NULL; p = next) {
            size_t b = place_bucket(t, p->file, p->line);
            next = p->next_in_hash;
            p->next_in_hash = buckets[b];
            buckets[b] = p;
        }
    }
    free(old);
}

/* Find the place of a key, or make it. NULL: no memory; the trie is as it was. */
static hook_place *place_make(hook_table *t, const char *file, size_t file_len, int line) {
    trie_node *node = trie_make(t, file, file_len);
    if (node == NULL) {
        trie_prune_tail(t, file, file_len);
        return NULL;
    }
    hook_place *p = place_find(t, node, line);
    if (p != NULL) return p;
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        trie_prune(node);
        return NULL;
    }
    if (t->places > t->place_mask) place_grow(t);
    size_t b = place_bucket(t, node, line);
    p->file = node;
    p->line = line;
    p->next_in_hash = t->place_buckets[b];
    t->place_buckets[b] = p;
    t->places++;
    node->places++;
    p->long_file = file_len > RECENT_TAIL;
    t->long_files += p->long_file;
    t->version++;
    return p;
}

/* Free a place that has no hooks. */
static void place_drop(hook_table *t, hook_place *p) {
    hook_place **link = &t->place_buckets[place_bucket(t, p->file, p->line)];
    while (*link != p) link = &(*link)->next_in_hash;
    *link = p->next_in_hash;
    t->places--;
    t->long_files -= p->long_file;
    t->version++;
    p->file->places--;
    trie_prune(p->file);
    free(p);
}

/* ---- The table ---- */

hook_table *hooks_new(hook_release_fn release, void *owner) {
    hook_table *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->place_buckets = calloc(PLACE_BUCKETS_MIN, sizeof *t->place_buckets);
    if (t->place_buckets == NULL) {
        free(t);
        return NULL;
    }
    t->place_mask = PLACE_BUCKETS_MIN - 1;
    t->version = 1;
    t->release = release;
    t->owner = owner;
    return t;
}

/* Take a removed hook out of all lists and free it. */
static void sweep_hook(hook_table *t, hook *h) {
    hook_place *p = h->place;
    hook **link = &p->first, *prev = NULL;
    while (*link != h) {
        prev = *link;
        link = &(*link)->next_in_place;
    }
    *link = h->next_in_place;
    if (p->last == h) p->last = prev;
    if (p->first == NULL) place_drop(t, p);
    *(h->prev != NULL ? &h->prev->next : &t->first) = h->next;
    *(h->next != NULL ? &h->next->prev : &t->last) = h->prev;
    if (t->release != NULL) t->release(h, t->owner);
    free(h);
}

void hooks_remove(hook_table *t, hook *h) {
    if (h->removed) return;
    h->removed = true;
    t->count--;
    line_drop(t, h->at);
    if (t->pins > 0)
        t->unswept = true;
    else
        sweep_hook(t, h);
}

void hooks_free(hook_table *t) {
    if (t == NULL) return;
    t->pins++;
    for (hook *h = t->first; h != NULL; h = h->next) hooks_remove(t, h);
    t->freed = true;
    hooks_unpin(t);
}

void hooks_pin(hook_table *t) {
    t->pins++;
}

void hooks_unpin(hook_table *t) {
    assert(t->pins > 0);
    if (t->pins == 1 && t->unswept) {
        t->unswept = false;
        hook *next;
        for (hook *h = t->first; h != NULL; h = next) {
            next = h->next;
            if (h->removed) sweep_hook(t, h);
        }
    }
    if (--t->pins == 0 && t->freed) {
        assert(t->first == NULL && t->places == 0 && t->root.child == NULL);
        free(t->place_buckets);
        free(t);
    }
}

/* A hook with room for its two texts behind it. NULL: no memory. */
static hook *hook_new(int64_t id, const char *file, size_t file_len, int line, void *filter) {
    char digits[32];
    int n =
        snprintf(digits, sizeof digits, "#%d%s", line & HOOKS_LINE_MAX, (line & HOOKS_RETURN) != 0 ? ":return" : "");
    if (n < 0 || file_len > SIZE_MAX / 4) return NULL;
    hook *h = calloc(1, sizeof *h + file_len + 1 + file_len + (size_t)n + 1);
    if (h == NULL) return NULL;
    char *text = (char *)(h + 1);
    memcpy(text, file, file_len);
    h->file = text;
    h->file_len = file_len;
    text += file_len + 1;
    memcpy(text, file, file_len);
    memcpy(text + file_len, digits, (size_t)n);
    h->key = text;
    h->id = id;
    h->line = line & HOOKS_LINE_MAX;
    h->at = line;
    h->filter = filter;
    return h;
}

hook *hooks_add(hook_table *t, int64_t id, const char *file, size_t file_len, int line, void *filter) {
    hook *h = hook_new(id, file, file_len, line, filter);
    if (h == NULL) return NULL;
    hook_place *p = place_make(t, file, file_len, line);
    if (p == NULL) {
        free(h);
        return NULL;
    }
    if (!line_add(t, line)) {
        if (p->first == NULL) place_drop(t, p);
        free(h);
        return NULL;
    }
    h->place = p;
    *(p->last != NULL ? &p->last->next_in_place : &p->first) = h;
    p->last = h;
    h->prev = t->last;
    *(t->last != NULL ? &t->last->next : &t->first) = h;
    t->last = h;
    t->count++;
    return h;
}

/* ---- Looking up ---- */

static hook *skip_removed(hook *h) {
    while (h != NULL && h->removed) h = h->next;
    return h;
}

hook *hooks_first(const hook_table *t) {
    return skip_removed(t->first);
}

hook *hooks_next(const hook *h) {
    return skip_removed(h->next);
}

size_t hooks_count(const hook_table *t) {
    return t->count;
}

bool hooks_dispatching(const hook_table *t) {
    return t->dispatching;
}

hook *hooks_find_id(const hook_table *t, int64_t id) {
    hook *h = hooks_first(t);
    while (h != NULL && h->id != id) h = hooks_next(h);
    return h;
}

/* The first hook in force of a place, which may be NULL. */
static hook *first_at(const hook_place *p) {
    hook *h = p != NULL ? p->first : NULL;
    while (h != NULL && h->removed) h = h->next_in_place;
    return h;
}

hook *hooks_first_with_key(const hook_table *t, const char *file, size_t file_len, int line) {
    const trie_node *node = &t->root;
    while (file_len > 0 && node != NULL) node = trie_step(node, file[--file_len]);
    return node != NULL ? first_at(place_find(t, node, line)) : NULL;
}

bool hooks_suffix(const char *source, size_t source_len, const char *file, size_t file_len) {
    return file_len <= source_len && memcmp(source + source_len - file_len, file, file_len) == 0;
}

/* ---- Matching ---- */

/* The places that are hit at (source, line), chained through next_match; longest file first. */
static hook_place *match(const hook_table *t, const char *source, size_t source_len, int line) {
    hook_place *chain = NULL;
    const trie_node *node = &t->root;
    for (;;) {
        if (node->places > 0) {
            hook_place *p = place_find(t, node, line);
            if (p != NULL) {
                p->next_match = chain;
                chain = p;
            }
        }
        if (source_len == 0) return chain;
        node = trie_step(node, source[--source_len]);
        if (node == NULL) return chain;
    }
}

static recent_match *recent_slot(hook_table *t, const char *source, size_t source_len, int line) {
    size_t h =
        (size_t)(unsigned)line * 31 + source_len * 7 + (source_len > 5 ? (unsigned char)source[source_len - 5] : 0);
    return &t->recent[h % RECENT];
}

/* match(), remembering the answer where it is a single place. */
static hook_place *match_again(hook_table *t, const char *source, size_t source_len, int line) {
    if (t->long_files > 0) return match(t, source, source_len, line);
    size_t tail = source_len < RECENT_TAIL ? source_len : RECENT_TAIL;
    recent_match *r = recent_slot(t, source, source_len, line);
    if (r->version == t->version && r->line == line && r->source_len == source_len &&
        memcmp(r->tail, source + source_len - tail, tail) == 0) {
        r->place->next_match = NULL;
        return r->place;
    }
    hook_place *chain = match(t, source, source_len, line);
    if (chain != NULL && chain->next_match == NULL) {
        r->version = t->version;
        r->place = chain;
        r->source_len = source_len;
        r->line = line;
        memcpy(r->tail, source + source_len - tail, tail);
    }
    return chain;
}

/* Leaves next_match alone: it may be called while a dispatch runs. */
bool hooks_matches(const hook_table *t, const char *source, size_t source_len, int line) {
    if (!hooks_has_line(t, line)) return false;
    for (const trie_node *node = &t->root; node != NULL; node = trie_step(node, source[--source_len])) {
        if (node->places > 0 && first_at(place_find(t, node, line)) != NULL) return true;
        if (source_len == 0) break;
    }
    return false;
}

bool hooks_knows_source(const hook_table *t, const char *source, size_t source_len) {
    const trie_node *node = &t->root;
    while (node != NULL) {
        if (node->places > 0) return true;
        if (source_len == 0) return false;
        node = trie_step(node, source[--source_len]);
    }
    return false;
}

/* The hook with the lowest id that the chain's cursors stand at, its cursor moved on; NULL: all done. Hooks younger
 * than `youngest` were added by the dispatch itself. */
static hook *next_hit(hook_place *chain, int64_t youngest) {
    hook_place *best = NULL;
    for (hook_place *p = chain; p != NULL; p = p->next_match) {
        while (p->cursor != NULL && p->cursor->removed) p->cursor = p->cursor->next_in_place;
        if (p->cursor != NULL && p->cursor->id <= youngest && (best == NULL || p->cursor->id < best->cursor->id))
            best = p;
    }
    if (best == NULL) return NULL;
    hook *h = best->cursor;
    best->cursor = h->next_in_place;
    return h;
}

int hooks_dispatch(hook_table *t, const char *source, size_t source_len, int line, hook_visit_fn visit, void *arg) {
    if (t->dispatching || !hooks_has_line(t, line)) return 0;
    hook_place *chain = match_again(t, source, source_len, line);
    if (chain == NULL) return 0;
    int visited = 0;
    int64_t youngest = t->last->id;
    hooks_pin(t);
    t->dispatching = true;
    for (hook_place *p = chain; p != NULL; p = p->next_match) p->cursor = p->first;
    for (hook *h; (h = next_hit(chain, youngest)) != NULL; visited++) visit(h, arg);
    t->dispatching = false;
    hooks_unpin(t);
    return visited;
}
