/* Open visits: no Lua here. */
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
#include "visits.h"

static const char threads[8]; /* their addresses are what matters */

static int setup(void **state) {
    *state = calloc(1, sizeof(visits));
    return 0;
}

static int teardown(void **state) {
    fail_allocation(0, 0);
    visits_clear(*state);
    free(*state);
    return 0;
}

static void an_empty_set_finds_nothing(void **state) {
    visits *v = *state;
    assert_null(visits_find(v, &threads[0], 1));
    visits_close_from(v, &threads[0], 0);
    visits_step(v, &threads[0], 1);
    visits_clear(v);
    visits_clear(v);
    assert_int_equal(v->count, 0);
}

static void a_visit_is_found_by_thread_and_depth(void **state) {
    visits *v = *state;
    visit *a = visits_open(v, &threads[0], 3, 10, false);
    visit *b = visits_open(v, &threads[1], 3, 11, true);
    visit *c = visits_open(v, &threads[0], 4, 12, false);
    assert_ptr_equal(visits_find(v, &threads[0], 3), a);
    assert_ptr_equal(visits_find(v, &threads[1], 3), b);
    assert_ptr_equal(visits_find(v, &threads[0], 4), c);
    assert_null(visits_find(v, &threads[1], 4));
    assert_null(visits_find(v, &threads[2], 3));
    assert_int_equal(v->count, 3);
    assert_int_equal(v->looping, 1);
    assert_int_equal(b->line, 11);
    assert_false(b->away || b->returned);
    visits_close(v, b);
    assert_null(visits_find(v, &threads[1], 3));
    assert_int_equal(v->looping, 0);
    assert_int_equal(v->count, 2);
}

static void a_frame_that_ends_closes_its_visit_and_those_above(void **state) {
    visits *v = *state;
    for (int thread = 0; thread < 2; thread++)
        for (int depth = 1; depth <= 5; depth++) visits_open(v, &threads[thread], depth, depth, depth == 4);
    visits_close_from(v, &threads[0], 3);
    for (int depth = 1; depth <= 5; depth++) {
        assert_int_equal(visits_find(v, &threads[0], depth) != NULL, depth < 3);
        assert_non_null(visits_find(v, &threads[1], depth));
    }
    assert_int_equal(v->count, 7);
    assert_int_equal(v->looping, 1);
}

static void an_instruction_after_a_call_is_one_returned_to(void **state) {
    visits *v = *state;
    visit *x = visits_open(v, &threads[0], 3, 10, true);
    visit *plain = visits_open(v, &threads[0], 2, 10, false);
    visits_step(v, &threads[0], 3);
    assert_false(x->returned);
    visits_step(v, &threads[0], 5);
    assert_false(x->returned);
    visits_step(v, &threads[0], 3);
    assert_true(x->returned);
    visits_step(v, &threads[0], 3);
    assert_false(x->returned);
    visits_step(v, &threads[1], 3); /* the same depth of another coroutine */
    visits_step(v, &threads[0], 3);
    assert_true(x->returned);
    assert_false(plain->away || plain->returned);
}

static void closed_visits_are_used_again(void **state) {
    visits *v = *state;
    for (int i = 0; i < 10; i++) visits_open(v, &threads[0], i, 1, true);
    visits_close_from(v, &threads[0], 0);
    long before = alloc_calls;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 10; i++) assert_non_null(visits_open(v, &threads[round % 8], i, 1, false));
        visits_close_from(v, &threads[round % 8], 0);
    }
    assert_int_equal(alloc_calls, before);
    assert_int_equal(v->count, 0);
    assert_int_equal(v->looping, 0);
}

/* A stepped visit that is used again must begin afresh. */
static void a_reopened_visit_begins_afresh(void **state) {
    visits *v = *state;
    visit *x = visits_open(v, &threads[0], 1, 1, true);
    visits_step(v, &threads[1], 1);
    x->returned = true;
    visits_close(v, x);
    x = visits_open(v, &threads[2], 9, 7, true);
    assert_false(x->away || x->returned);
    assert_int_equal(x->line, 7);
}

static void visits_of_coroutines_that_are_gone_do_not_grow_without_end(void **state) {
    visits *v = *state;
    char *base = (char *)0x100000;
    for (long i = 0; i < 300000; i++) assert_non_null(visits_open(v, base + i * 64, 1, 1, false));
    assert_true(v->count <= 1 << 17);
    assert_non_null(visits_find(v, base + 299999L * 64, 1));
}

static void without_memory_nothing_is_opened_and_all_else_serves(void **state) {
    visits *v = *state;
    fail_allocation(1, 1);
    assert_null(visits_open(v, &threads[0], 1, 1, true));
    fail_allocation(2, 1);
    assert_null(visits_open(v, &threads[0], 1, 1, true));
    fail_allocation(0, 0);
    assert_int_equal(v->count, 0);
    assert_int_equal(v->looping, 0);
    int n = 0;
    do { /* until the buckets ought to grow */
        fail_allocation(1, 0);
        visit *x = visits_open(v, &threads[0], n, 1, true);
        if (x == NULL) {
            fail_allocation(0, 0);
            x = visits_open(v, &threads[0], n, 1, true);
        } else {
            fail_allocation(0, 0);
            assert_int_equal(v->count, n + 1); /* they did not, the chains did */
        }
        assert_non_null(x);
    } while (++n < 200);
    fail_allocation(1, 1);
    assert_null(visits_open(v, &threads[0], n, 1, true));
    fail_allocation(0, 0);
    assert_int_equal(v->count, n);
    for (int i = 0; i < n; i++) assert_non_null(visits_find(v, &threads[0], i));
}

/* ---- Against a naive model ---- */

enum { MODEL_MAX = 400, DEPTHS = 40 };

typedef struct model {
    visit list[MODEL_MAX];
    int n;
    uint64_t random;
} model;

static unsigned pick(model *m, unsigned below) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 33) % below;
}

static int model_find(const model *m, const void *thread, int depth) {
    for (int i = 0; i < m->n; i++)
        if (m->list[i].thread == thread && m->list[i].depth == depth) return i;
    return -1;
}

static void model_close(model *m, int i) {
    m->list[i] = m->list[--m->n];
}

static void model_compare(visits *v, const model *m) {
    size_t looping = 0;
    for (int i = 0; i < m->n; i++) {
        const visit *x = visits_find(v, m->list[i].thread, m->list[i].depth);
        assert_non_null(x);
        assert_int_equal(x->line, m->list[i].line);
        assert_int_equal(x->loops, m->list[i].loops);
        assert_int_equal(x->away, m->list[i].away);
        assert_int_equal(x->returned, m->list[i].returned);
        looping += m->list[i].loops;
    }
    assert_int_equal(v->count, m->n);
    assert_int_equal(v->looping, looping);
}

static void random_operations_agree_with_a_naive_model(void **state) {
    visits *v = *state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    model *m = calloc(1, sizeof *m);
    m->random = seed * 2 + 1;
    for (int op = 0; op < 100000; op++) {
        const void *thread = &threads[pick(m, 8)];
        int depth = (int)pick(m, DEPTHS), at = model_find(m, thread, depth);
        visit *x = visits_find(v, thread, depth);
        assert_int_equal(x != NULL, at >= 0);
        switch (pick(m, 8)) {
        case 0:
        case 1:
        case 2:
        case 3:
            if (at < 0 && m->n < MODEL_MAX) {
                bool loops = pick(m, 3) == 0;
                int line = (int)pick(m, 100);
                assert_non_null(visits_open(v, thread, depth, line, loops));
                m->list[m->n++] = (visit){.thread = thread, .depth = depth, .line = line, .loops = loops};
            }
            break;
        case 4:
            if (at >= 0) {
                visits_close(v, x);
                model_close(m, at);
            }
            break;
        case 5:
            if (pick(m, 4) != 0) depth += DEPTHS / 2;
            visits_close_from(v, thread, depth);
            for (int i = m->n; i-- > 0;)
                if (m->list[i].thread == thread && m->list[i].depth >= depth) model_close(m, i);
            break;
        default:
            visits_step(v, thread, depth);
            for (int i = 0; i < m->n; i++) {
                visit *y = &m->list[i];
                if (!y->loops) continue;
                bool here = y->thread == thread && y->depth == depth;
                y->returned = here && y->away;
                y->away = !here;
            }
            break;
        }
        if (op % 50 == 0) model_compare(v, m);
        if (pick(m, 20000) == 0) {
            visits_clear(v);
            m->n = 0;
        }
    }
    model_compare(v, m);
    free(m);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(an_empty_set_finds_nothing),
        T(a_visit_is_found_by_thread_and_depth),
        T(a_frame_that_ends_closes_its_visit_and_those_above),
        T(an_instruction_after_a_call_is_one_returned_to),
        T(closed_visits_are_used_again),
        T(a_reopened_visit_begins_afresh),
        T(visits_of_coroutines_that_are_gone_do_not_grow_without_end),
        T(without_memory_nothing_is_opened_and_all_else_serves),
        T(random_operations_agree_with_a_naive_model),
    };
    return cmocka_run_group_tests_name("visits", tests, NULL, NULL);
}
