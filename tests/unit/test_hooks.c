/* The hook table: no Lua here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "alloc.h"
#include "hooks.h"

/* ---- A table whose releases are noted ---- */

enum { IDS_MAX = 4096 };

typedef struct fixture {
    hook_table *t;
    int64_t last_id;
    int released[IDS_MAX]; /* how often, by id */
    int releases;
    int releases_before; /* the running dispatch */
    bool released_early; /* while it ran */
    int64_t order[64];   /* ids in the order of their visits */
    int visits;
    void (*act)(struct fixture *f, hook *h);
    hook *h[8];
} fixture;

static void note_release(hook *h, void *owner) {
    fixture *f = owner;
    if (h->id < IDS_MAX) f->released[h->id]++;
    f->releases++;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->t = hooks_new(note_release, f);
    *state = f;
    return f->t != NULL ? 0 : -1;
}

static int teardown(void **state) {
    fixture *f = *state;
    fail_allocation(0, 0);
    hooks_free(f->t);
    free(f);
    return 0;
}

static hook *add(fixture *f, const char *file, int line) {
    return hooks_add(f->t, ++f->last_id, file, strlen(file), line, NULL);
}

static void visit(hook *h, void *arg) {
    fixture *f = arg;
    if (f->visits < 64) f->order[f->visits] = h->id;
    f->visits++;
    if (f->act != NULL) f->act(f, h);
    if (f->releases != f->releases_before) f->released_early = true;
}

static int dispatch(fixture *f, const char *source, int line) {
    f->visits = 0;
    f->releases_before = f->releases;
    int n = hooks_dispatch(f->t, source, strlen(source), line, visit, f);
    assert_int_equal(n, f->visits);
    assert_false(f->released_early);
    return n;
}

static void assert_order(const fixture *f, int n, ...) {
    va_list ids;
    assert_int_equal(f->visits, n);
    va_start(ids, n);
    for (int i = 0; i < n; i++) assert_int_equal(f->order[i], va_arg(ids, int));
    va_end(ids);
}

static bool matches(const char *source, int line, const char *file) {
    void *state;
    setup(&state);
    fixture *f = state;
    assert_non_null(add(f, file, 7));
    bool hit = dispatch(f, source, line) == 1;
    assert_int_equal(hooks_matches(f->t, source, strlen(source), line), hit);
    assert_int_equal(hooks_suffix(source, strlen(source), file, strlen(file)), hit || line != 7);
    assert_int_equal(hooks_knows_source(f->t, source, strlen(source)), hit || line != 7);
    teardown(&state);
    return hit;
}

/* ---- Matching ---- */

static void a_file_matches_as_a_suffix_of_the_chunk_name(void **state) {
    (void)state;
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "/limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "a/limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "re/a/limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "eq.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "a"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "/usr/share/a/limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, "@/usr/share/a/limit-req.lua"));
    assert_true(matches("@/usr/share/a/limit-req.lua", 7, ""));
    assert_true(matches("", 7, ""));
    assert_true(matches("=stdin", 7, "=stdin"));
    assert_true(matches("=stdin", 7, "stdin"));
    assert_true(matches("@a#b.lua", 7, "#b.lua"));
    assert_true(matches("@a#7", 7, "#7"));
    assert_true(matches("return 1\n-- caf\xc3\xa9 \xff", 7, "\xc3\xa9 \xff"));
}

static void what_is_no_suffix_does_not_match(void **state) {
    (void)state;
    assert_false(hooks_suffix("@limit-req.lua", 14, "/limit-req.lua", 14));
    assert_false(hooks_suffix("@req.lua", 8, "limit-req.lua", 13));
    assert_false(hooks_suffix("@limit-req.lua", 14, "limit-req.lu", 12));
    assert_false(hooks_suffix("@limit-req.luac", 15, "limit-req.lua", 13));
    assert_false(hooks_suffix("@LIMIT.lua", 10, "limit.lua", 9));
    assert_false(hooks_suffix("", 0, "x", 1));
    assert_false(hooks_suffix("@xalimit.lua", 12, "/limit.lua", 10));
    void *s;
    setup(&s);
    fixture *f = s;
    add(f, "/limit.lua", 7);
    add(f, "b/limit.lua", 7);
    assert_int_equal(dispatch(f, "@xlimit.lua", 7), 0);
    assert_int_equal(dispatch(f, "@limit.lua", 7), 0);
    assert_int_equal(dispatch(f, "@a/limit.lua", 7), 1);
    assert_int_equal(dispatch(f, "@ab/limit.lua", 7), 2);
    assert_int_equal(dispatch(f, "@ab/limit.luac", 7), 0);
    assert_int_equal(dispatch(f, "", 7), 0);
    teardown(&s);
}

static void the_line_must_be_equal(void **state) {
    fixture *f = *state;
    add(f, "a.lua", 7);
    assert_int_equal(dispatch(f, "@a.lua", 6), 0);
    assert_int_equal(dispatch(f, "@a.lua", 77), 0);
    assert_int_equal(dispatch(f, "@a.lua", 7 + 1024), 0);
    assert_int_equal(dispatch(f, "@a.lua", 0), 0);
    assert_int_equal(dispatch(f, "@a.lua", -1), 0);
    assert_int_equal(dispatch(f, "@a.lua#7", 7), 0);
    assert_int_equal(dispatch(f, "@a.lua", 7), 1);
    assert_true(hooks_has_line(f->t, 7));
    assert_false(hooks_has_line(f->t, 7 + 1024));
    assert_false(hooks_has_line(f->t, -1017));
    assert_non_null(add(f, "a.lua", HOOKS_LINE_MAX));
    assert_int_equal(dispatch(f, "@a.lua", HOOKS_LINE_MAX), 1);
}

/* The rule is "source#line ends with file#line"; a '#' or digits in a name must not make two rules of it. */
static void the_rule_is_that_of_the_joined_texts(void **state) {
    static const char *const names[] = {"", "a", "#", "a#1", "#1", "1", "#12", "a#", "##", "1#1", "a#12", "12"};
    fixture *f = *state;
    static const int lines[] = {1, 2, 12, 112};
    for (size_t i = 0; i < 12; i++)
        for (int l = 0; l < 4; l++) assert_non_null(add(f, names[i], lines[l]));
    for (size_t i = 0; i < 12; i++) {
        for (int l = 0; l < 4; l++) {
            char whole[64];
            int expected = 0;
            snprintf(whole, sizeof whole, "%s#%d", names[i], lines[l]);
            for (const hook *h = hooks_first(f->t); h != NULL; h = hooks_next(h))
                expected +=
                    strlen(h->key) <= strlen(whole) && strcmp(whole + strlen(whole) - strlen(h->key), h->key) == 0;
            assert_int_equal(dispatch(f, names[i], lines[l]), expected);
        }
    }
}

static void long_names_match(void **state) {
    fixture *f = *state;
    size_t len = 100000;
    char *name = malloc(len + 1);
    memset(name, 'x', len);
    name[len] = '\0';
    assert_non_null(add(f, name + 1, 3));
    assert_int_equal(dispatch(f, name, 3), 1);
    assert_int_equal(dispatch(f, name + 1, 3), 1);
    assert_int_equal(dispatch(f, name + 2, 3), 0);
    name[5] = 'y';
    assert_int_equal(dispatch(f, name, 3), 0);
    hooks_remove(f->t, hooks_first(f->t));
    assert_int_equal(f->releases, 1);
    free(name);
}

static void a_hook_keeps_its_key_file_and_line(void **state) {
    fixture *f = *state;
    char file[] = "dir/a.lua";
    hook *h = add(f, file, 123);
    memset(file, '?', strlen(file));
    assert_string_equal(h->key, "dir/a.lua#123");
    assert_string_equal(h->file, "dir/a.lua");
    assert_int_equal(h->file_len, 9);
    assert_int_equal(h->line, 123);
    assert_int_equal(h->id, 1);
    assert_string_equal(add(f, "", HOOKS_LINE_MAX)->key, "#16777215");
}

/* ---- Order, look-ups ---- */

static void hooks_on_a_line_are_visited_in_the_order_of_their_ids(void **state) {
    fixture *f = *state;
    add(f, "b/a.lua", 5);
    add(f, "a.lua", 5);
    add(f, "", 5);
    add(f, "/a.lua", 5);
    add(f, "a.lua", 6);
    add(f, "a.lua", 5);
    add(f, "c/a.lua", 5);
    add(f, "b/a.lua", 5);
    add(f, "@b/a.lua", 5);
    dispatch(f, "@b/a.lua", 5);
    assert_order(f, 7, 1, 2, 3, 4, 6, 8, 9);
}

static void hooks_are_found_by_id_and_key(void **state) {
    fixture *f = *state;
    hook *a = add(f, "a.lua", 5), *b = add(f, "b.lua", 5), *c = add(f, "a.lua", 5);
    assert_ptr_equal(hooks_find_id(f->t, 2), b);
    assert_null(hooks_find_id(f->t, 4));
    assert_null(hooks_find_id(f->t, 0));
    assert_ptr_equal(hooks_first_with_key(f->t, "a.lua", 5, 5), a);
    assert_null(hooks_first_with_key(f->t, ".lua", 4, 5));
    assert_null(hooks_first_with_key(f->t, "@a.lua", 6, 5));
    assert_null(hooks_first_with_key(f->t, "a.lua", 5, 6));
    hooks_pin(f->t);
    hooks_remove(f->t, a);
    assert_null(hooks_find_id(f->t, 1));
    assert_ptr_equal(hooks_first_with_key(f->t, "a.lua", 5, 5), c);
    assert_ptr_equal(hooks_first(f->t), b);
    assert_ptr_equal(hooks_next(a), b);
    assert_int_equal(hooks_count(f->t), 2);
    hooks_unpin(f->t);
    assert_ptr_equal(hooks_first_with_key(f->t, "a.lua", 5, 5), c);
}

/* ---- Changes from inside a dispatch ---- */

static void remove_self(fixture *f, hook *h) {
    hooks_remove(f->t, h);
    hooks_remove(f->t, h);
    assert_true(h->removed);
    assert_string_equal(h->file, "a.lua"); /* still there */
}

static void a_hook_that_removes_itself_is_released_once_after_the_dispatch(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) f->h[i] = add(f, "a.lua", 5);
    f->act = remove_self;
    assert_int_equal(dispatch(f, "@a.lua", 5), 3);
    assert_int_equal(f->releases, 3);
    for (int id = 1; id <= 3; id++) assert_int_equal(f->released[id], 1);
    assert_int_equal(hooks_count(f->t), 0);
    assert_int_equal(dispatch(f, "@a.lua", 5), 0);
    assert_false(hooks_has_line(f->t, 5));
    assert_false(hooks_knows_source(f->t, "@a.lua", 6));
}

static void remove_first_and_last(fixture *f, hook *h) {
    if (h != f->h[1]) return;
    hooks_remove(f->t, f->h[0]);
    hooks_remove(f->t, f->h[3]);
}

static void a_hook_removed_by_an_earlier_one_is_not_visited(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 4; i++) f->h[i] = add(f, i % 2 ? "a.lua" : "lua", 5);
    f->act = remove_first_and_last;
    dispatch(f, "@a.lua", 5);
    assert_order(f, 3, 1, 2, 3);
    assert_int_equal(f->releases, 2);
    f->act = NULL;
    dispatch(f, "@a.lua", 5);
    assert_order(f, 2, 2, 3);
}

static void remove_all_of_them(fixture *f, hook *h) {
    (void)h;
    for (hook *x; (x = hooks_first(f->t)) != NULL;) hooks_remove(f->t, x);
    assert_int_equal(hooks_count(f->t), 0);
    assert_false(hooks_has_line(f->t, 5));
    assert_false(hooks_matches(f->t, "@a.lua", 6, 5));
}

static void a_hook_that_removes_all_ends_the_dispatch(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 4; i++) add(f, i % 2 ? "a.lua" : "other.lua", 5);
    f->act = remove_all_of_them;
    dispatch(f, "@a.lua", 5);
    assert_order(f, 1, 2);
    assert_int_equal(f->releases, 4);
}

static void add_more(fixture *f, hook *h) {
    if (h->id > 2) return;
    assert_non_null(add(f, "a.lua", 5));
    assert_non_null(add(f, "lua", 5));
    assert_non_null(add(f, "never seen", 99));
}

static void a_hook_added_by_a_dispatch_is_visited_by_the_next(void **state) {
    fixture *f = *state;
    add(f, "a.lua", 5);
    add(f, "a.lua", 5);
    f->act = add_more;
    assert_int_equal(dispatch(f, "@a.lua", 5), 2);
    assert_int_equal(hooks_count(f->t), 8);
    f->act = NULL;
    assert_int_equal(dispatch(f, "@a.lua", 5), 6);
}

static void replace_self(fixture *f, hook *h) {
    hooks_remove(f->t, h);
    assert_non_null(add(f, h->file, h->line));
    assert_true(hooks_matches(f->t, "@a.lua", 6, 5));
}

static void a_hook_that_replaces_itself_on_its_key_runs_once_per_dispatch(void **state) {
    fixture *f = *state;
    add(f, "a.lua", 5);
    f->act = replace_self;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(dispatch(f, "@a.lua", 5), 1);
        assert_int_equal(f->order[0], i + 1);
    }
    assert_int_equal(f->releases, 10);
    assert_int_equal(hooks_count(f->t), 1);
}

static void add_many(fixture *f, hook *h) {
    char file[32];
    (void)h;
    for (int i = 0; i < 500; i++) {
        snprintf(file, sizeof file, "f%d.lua", i);
        assert_non_null(add(f, file, i + 1));
        if (i % 2) hooks_remove(f->t, hooks_find_id(f->t, f->last_id));
    }
}

static void a_dispatch_stands_a_table_that_grows_under_it(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) add(f, "f1.lua", 2);
    f->act = add_many;
    assert_int_equal(dispatch(f, "@f1.lua", 2), 3);
    assert_int_equal(hooks_count(f->t), 3 + 3 * 250);
}

static void dispatch_again(fixture *f, hook *h) {
    (void)h;
    assert_int_equal(hooks_dispatch(f->t, "@a.lua", 6, 5, visit, f), 0);
    assert_true(hooks_matches(f->t, "@a.lua", 6, 5));
    assert_true(hooks_matches(f->t, "@b.lua", 6, 5));
    assert_false(hooks_matches(f->t, "@c.lua", 6, 5));
}

static void a_dispatch_within_a_dispatch_visits_none(void **state) {
    fixture *f = *state;
    add(f, "a.lua", 5);
    add(f, "a.lua", 5);
    add(f, "b.lua", 5);
    f->act = dispatch_again;
    dispatch(f, "@a.lua", 5);
    assert_order(f, 2, 1, 2);
}

static void free_table(fixture *f, hook *h) {
    hooks_free(f->t);
    assert_true(h->removed);
    assert_string_equal(h->key, "a.lua#5");
    assert_int_equal(f->releases, 0);
}

static void a_table_freed_by_a_dispatch_lives_until_its_end(void **state) {
    fixture *f = *state;
    add(f, "a.lua", 5);
    add(f, "a.lua", 5);
    add(f, "b.lua", 5);
    f->act = free_table;
    assert_int_equal(hooks_dispatch(f->t, "@a.lua", 6, 5, visit, f), 1);
    f->t = NULL;
    assert_int_equal(f->releases, 3);
}

static void pins_nest_and_keep_removed_hooks(void **state) {
    fixture *f = *state;
    hook *h = add(f, "a.lua", 5);
    hooks_pin(f->t);
    hooks_pin(f->t);
    hooks_remove(f->t, h);
    assert_int_equal(hooks_count(f->t), 0);
    hooks_unpin(f->t);
    assert_int_equal(f->releases, 0);
    assert_string_equal(h->file, "a.lua");
    hook *again = add(f, "a.lua", 5);
    hooks_unpin(f->t);
    assert_int_equal(f->releases, 1);
    assert_ptr_equal(hooks_first(f->t), again);
    hooks_pin(f->t);
    hook_table *t = f->t;
    hooks_free(t);
    f->t = NULL;
    assert_int_equal(f->releases, 1);
    hooks_unpin(t);
    assert_int_equal(f->releases, 2);
    hooks_free(NULL);
}

static void a_table_without_a_release_function_serves(void **state) {
    (void)state;
    hook_table *t = hooks_new(NULL, NULL);
    hook *h = hooks_add(t, 1, "a", 1, 1, NULL);
    hooks_add(t, 2, "a", 1, 1, NULL);
    hooks_remove(t, h);
    hooks_free(t);
}

/* ---- Cost ---- */

static double seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The time of a thousand rejections with `n` hooks in the table; the least of a few attempts. */
static double rejection_time(int n, bool same_line) {
    double least = 1e9;
    hook_table *t = hooks_new(NULL, NULL);
    char file[64];
    for (int i = 0; i < n; i++) {
        int len = snprintf(file, sizeof file, "/plugins/some/module%d.lua", i);
        hooks_add(t, i + 1, file, (size_t)len, 1024 + (same_line ? 0 : i * 2), NULL);
    }
    for (int attempt = 0; attempt < 5; attempt++) {
        double begin = seconds();
        for (int i = 0; i < 1000; i++) {
            assert_false(hooks_has_line(t, 1023));
            assert_int_equal(hooks_dispatch(t, "@/plugins/other.c", 17, 1024, visit, NULL), 0);
        }
        double took = seconds() - begin;
        if (took < least) least = took;
    }
    hooks_free(t);
    return least;
}

static void rejection_costs_the_same_with_many_hooks(void **state) {
    (void)state;
    for (int same = 0; same < 2; same++) {
        double few = rejection_time(4, same), many = rejection_time(20000, same);
        if (many > few * 20 + 1e-3) fail_msg("%g s with 4 hooks, %g s with 20000", few, many);
    }
}

static void twenty_thousand_hooks_of_one_key_come_and_go_quickly(void **state) {
    fixture *f = *state;
    double begin = seconds();
    for (int i = 0; i < 20000; i++) assert_non_null(add(f, "a.lua", 5));
    for (hook *h; (h = hooks_first_with_key(f->t, "a.lua", 5, 5)) != NULL;) hooks_remove(f->t, h);
    assert_int_equal(f->releases, 20000);
    assert_true(seconds() - begin < 5);
}

/* ---- Against a naive model ---- */

enum { MODEL_MAX = 300 };

static const char *const model_files[] = {"",        "a",      "lua",    ".lua", "a.lua", "/a.lua",
                                          "b/a.lua", "@a.lua", "ba.lua", "#1",   "x#1"};
static const char *const model_sources[] = {"",        "a",    "@a.lua", "@b/a.lua", "@/b/a.lua", "@/cb/a.lua",
                                            "@ba.lua", "=lua", "x#1",    "#1",       "@c.lua"};
enum { MODEL_FILES = 11, MODEL_SOURCES = 11 };

typedef struct model_hook {
    int64_t id;
    int file, line;
    hook *h;
} model_hook;

typedef struct model {
    hook_table *t;
    uint64_t random;
    int64_t last_id;
    model_hook list[MODEL_MAX];
    int n;
    int64_t expected[MODEL_MAX]; /* ids the running dispatch has still to visit */
    int expected_n, visited;
    long released, removed;
    bool nested;
} model;

static unsigned pick(model *m, unsigned below) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 33) % below;
}

static int model_line(model *m) {
    static const int lines[] = {1, 2, 1025, 2049, 3, HOOKS_LINE_MAX};
    return lines[pick(m, 6)];
}

static bool model_suffix(const char *source, const char *file) {
    size_t s = strlen(source), n = strlen(file);
    return n <= s && strcmp(source + s - n, file) == 0;
}

static void model_release(hook *h, void *owner) {
    model *m = owner;
    m->released++;
    for (int i = 0; i < m->n; i++) assert_true(m->list[i].id != h->id);
}

static void model_add(model *m) {
    if (m->n == MODEL_MAX) return;
    model_hook *x = &m->list[m->n++];
    x->id = ++m->last_id;
    x->file = (int)pick(m, MODEL_FILES);
    x->line = model_line(m);
    x->h = hooks_add(m->t, x->id, model_files[x->file], strlen(model_files[x->file]), x->line, NULL);
    assert_non_null(x->h);
}

static void model_remove(model *m) {
    if (m->n == 0) return;
    int i = (int)pick(m, (unsigned)m->n);
    hook *h = m->list[i].h;
    for (int e = 0; e < m->expected_n; e++)
        if (m->expected[e] == h->id) m->expected[e] = 0;
    memmove(&m->list[i], &m->list[i + 1], sizeof m->list[0] * (size_t)(m->n - i - 1));
    m->n--;
    m->removed++;
    hooks_remove(m->t, h);
}

static void model_check(model *m) {
    assert_int_equal(hooks_count(m->t), m->n);
    int i = 0;
    for (hook *h = hooks_first(m->t); h != NULL; h = hooks_next(h), i++) {
        assert_true(i < m->n);
        assert_ptr_equal(h, m->list[i].h);
        assert_int_equal(h->id, m->list[i].id);
    }
    assert_int_equal(i, m->n);
}

static void model_query(model *m) {
    int file = (int)pick(m, MODEL_FILES), line = model_line(m);
    const char *source = model_sources[pick(m, MODEL_SOURCES)];
    hook *first = NULL;
    bool has_line = false, match = false, knows = false;
    for (int i = m->n; i-- > 0;) {
        if (m->list[i].file == file && m->list[i].line == line) first = m->list[i].h;
        has_line = has_line || m->list[i].line == line;
        bool suffix = model_suffix(source, model_files[m->list[i].file]);
        match = match || (suffix && m->list[i].line == line);
        knows = knows || suffix;
    }
    assert_ptr_equal(hooks_first_with_key(m->t, model_files[file], strlen(model_files[file]), line), first);
    assert_int_equal(hooks_has_line(m->t, line), has_line);
    assert_int_equal(hooks_matches(m->t, source, strlen(source), line), match);
    /* A source may be known longer than its hooks are in force while the table is pinned. */
    if (!m->nested) assert_int_equal(hooks_knows_source(m->t, source, strlen(source)), knows);
    int64_t id = m->last_id > 0 ? (int64_t)pick(m, (unsigned)m->last_id + 2) : 0;
    hook *by_id = NULL;
    for (int i = 0; i < m->n; i++)
        if (m->list[i].id == id) by_id = m->list[i].h;
    assert_ptr_equal(hooks_find_id(m->t, id), by_id);
}

static void model_visit(hook *h, void *arg) {
    model *m = arg;
    while (m->visited < m->expected_n && m->expected[m->visited] == 0) m->visited++;
    assert_true(m->visited < m->expected_n);
    assert_int_equal(h->id, m->expected[m->visited]);
    m->visited++;
    assert_false(h->removed);
    for (unsigned changes = pick(m, 4); changes > 0; changes--) {
        if (pick(m, 2))
            model_add(m);
        else
            model_remove(m);
        model_query(m);
    }
}

static int model_dispatch(model *m) {
    const char *source = model_sources[pick(m, MODEL_SOURCES)];
    int line = model_line(m);
    m->expected_n = m->visited = 0;
    for (int i = 0; i < m->n; i++)
        if (m->list[i].line == line && model_suffix(source, model_files[m->list[i].file]))
            m->expected[m->expected_n++] = m->list[i].id;
    long before = m->released;
    m->nested = true;
    int n = hooks_dispatch(m->t, source, strlen(source), line, model_visit, m);
    m->nested = false;
    while (m->visited < m->expected_n && m->expected[m->visited] == 0) m->visited++;
    assert_int_equal(m->visited, m->expected_n);
    m->expected_n = 0;
    assert_int_equal(m->released, m->removed);
    (void)before;
    return n;
}

static void random_operations_agree_with_a_naive_model(void **state) {
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    model *m = calloc(1, sizeof *m);
    m->random = seed * 2 + 1;
    m->t = hooks_new(model_release, m);
    for (int i = 0; i < 100000; i++) {
        switch (pick(m, 5)) {
        case 0: model_add(m); break;
        case 1: model_remove(m); break;
        case 2: model_dispatch(m); break;
        default: model_query(m); break;
        }
        if (i % 100 == 0) model_check(m);
        if (pick(m, 5000) == 0) {
            m->removed += m->n;
            m->n = 0;
            hooks_free(m->t);
            assert_int_equal(m->released, m->removed);
            m->t = hooks_new(model_release, m);
        }
    }
    m->removed += m->n;
    m->n = 0;
    hooks_free(m->t);
    assert_int_equal(m->released, m->removed);
    free(m);
}

/* ---- No memory ---- */

static void without_memory_there_is_no_table(void **state) {
    (void)state;
    for (long n = 1;; n++) {
        fail_allocation(n, 0);
        hook_table *t = hooks_new(NULL, NULL);
        bool failed = alloc_failed;
        fail_allocation(0, 0);
        if (!failed) {
            hooks_free(t);
            assert_true(n > 1);
            return;
        }
        assert_null(t);
    }
}

static void a_failed_add_leaves_the_table_as_it_was(void **state) {
    static const char *const files[] = {"b/a.lua", "a.lua", "xa.lua", "zzz"};
    fixture *f = *state;
    for (int i = 0; i < 200; i++) { /* many, so that the places grow */
        char file[24];
        snprintf(file, sizeof file, "%da.lua", i);
        add(f, file, 5);
    }
    for (size_t i = 0; i < 4; i++) {
        for (int and_on = 0; and_on < 2; and_on++) {
            for (int line = 5; line < 8; line++) {
                for (long n = 1;; n++) {
                    size_t count = hooks_count(f->t);
                    bool knew = hooks_knows_source(f->t, files[i], strlen(files[i]));
                    bool had = hooks_has_line(f->t, line);
                    fail_allocation(n, and_on);
                    hook *h = hooks_add(f->t, f->last_id + 1, files[i], strlen(files[i]), line, NULL);
                    bool failed = alloc_failed;
                    fail_allocation(0, 0);
                    if (h == NULL) {
                        assert_true(failed);
                        assert_int_equal(hooks_count(f->t), count);
                        assert_int_equal(hooks_knows_source(f->t, files[i], strlen(files[i])), knew);
                        assert_int_equal(hooks_has_line(f->t, line), had);
                        assert_null(hooks_first_with_key(f->t, files[i], strlen(files[i]), line));
                        assert_int_equal(f->releases, 0);
                        continue;
                    }
                    f->last_id++;
                    f->visits = 0;
                    f->releases = 0;
                    assert_true(hooks_matches(f->t, files[i], strlen(files[i]), line));
                    hooks_remove(f->t, h);
                    assert_int_equal(f->releases, 1);
                    f->releases = 0;
                    if (!failed) break;
                }
            }
        }
    }
    assert_int_equal(hooks_count(f->t), 200);
    assert_int_equal(dispatch(f, "@17a.lua", 5), 2);
}

static void add_without_memory(fixture *f, hook *h) {
    for (long n = 1; n < 6; n++) {
        fail_allocation(n, 1);
        hook *x = hooks_add(f->t, f->last_id + 1, "new.lua", 7, 5, NULL);
        fail_allocation(0, 0);
        assert_null(x);
        fail_allocation(1, 1);
        x = hooks_add(f->t, f->last_id + 1, h->file, h->file_len, 5, NULL);
        fail_allocation(0, 0);
        assert_null(x);
    }
    hooks_remove(f->t, h);
    fail_allocation(2, 1);
    hook *x = hooks_add(f->t, f->last_id + 1, h->file, h->file_len, 5, NULL);
    fail_allocation(0, 0);
    if (x != NULL) f->last_id++;
}

static void an_add_that_fails_inside_a_dispatch_does_no_harm(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) add(f, "a.lua", 5);
    f->act = add_without_memory;
    assert_int_equal(dispatch(f, "@a.lua", 5), 3);
    assert_int_equal(f->releases, 3);
}

static void a_dispatch_allocates_nothing(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 10; i++) add(f, i % 2 ? "a.lua" : "lua", 5);
    long before = alloc_calls;
    assert_int_equal(dispatch(f, "@a.lua", 5), 10);
    assert_int_equal(alloc_calls, before);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_matches_as_a_suffix_of_the_chunk_name),
        cmocka_unit_test(what_is_no_suffix_does_not_match),
        T(the_line_must_be_equal),
        T(the_rule_is_that_of_the_joined_texts),
        T(long_names_match),
        T(a_hook_keeps_its_key_file_and_line),
        T(hooks_on_a_line_are_visited_in_the_order_of_their_ids),
        T(hooks_are_found_by_id_and_key),
        T(a_hook_that_removes_itself_is_released_once_after_the_dispatch),
        T(a_hook_removed_by_an_earlier_one_is_not_visited),
        T(a_hook_that_removes_all_ends_the_dispatch),
        T(a_hook_added_by_a_dispatch_is_visited_by_the_next),
        T(a_hook_that_replaces_itself_on_its_key_runs_once_per_dispatch),
        T(a_dispatch_stands_a_table_that_grows_under_it),
        T(a_dispatch_within_a_dispatch_visits_none),
        T(a_table_freed_by_a_dispatch_lives_until_its_end),
        T(pins_nest_and_keep_removed_hooks),
        cmocka_unit_test(a_table_without_a_release_function_serves),
        cmocka_unit_test(rejection_costs_the_same_with_many_hooks),
        T(twenty_thousand_hooks_of_one_key_come_and_go_quickly),
        cmocka_unit_test(random_operations_agree_with_a_naive_model),
        cmocka_unit_test(without_memory_there_is_no_table),
        T(a_failed_add_leaves_the_table_as_it_was),
        T(an_add_that_fails_inside_a_dispatch_does_no_harm),
        T(a_dispatch_allocates_nothing),
    };
    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
