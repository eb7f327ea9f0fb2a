/* Names that are masked, and names that were meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "alloc.h"
#include "mask.h"
#include "nearest_name.h"

static bool masked(const mask_list *m, const char *name) {
    return mask_matches(m, name, strlen(name));
}

static void a_name_that_contains_a_word_is_masked(void **state) {
    (void)state;
    mask_list m;
    assert_true(mask_init(&m));
    static const char *const hidden[] = {"password",      "PassWord", "db_password",   "passwd",
                                         "client_secret", "token",    "XTokenY",       "Cookie",
                                         "set-cookie",    "my-token", "Authorization", "Proxy-Authorization"};
    static const char *const shown[] = {"pass", "user", "tok", "toke", "", "secre", "cooki", "author", "name"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (!masked(&m, hidden[i])) fail_msg("%s is shown", hidden[i]);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (masked(&m, shown[i])) fail_msg("%s is masked", shown[i]);
    assert_true(mask_matches(&m, "a\0token", 7)); /* a NUL byte hides nothing */
    mask_free(&m);
}

static void words_can_be_added(void **state) {
    (void)state;
    mask_list m;
    assert_true(mask_init(&m));
    assert_false(masked(&m, "IBAN"));
    assert_true(mask_add(&m, "Iban"));
    assert_true(masked(&m, "IBAN") && masked(&m, "user_iban") && masked(&m, "token"));
    assert_false(mask_add(&m, ""));
    mask_free(&m);
    assert_false(masked(&m, "token"));
}

static void without_memory_the_list_fails_as_a_whole(void **state) {
    (void)state;
    mask_list m;
    int failures = 0;
    for (int n = 1; n < 100; n++) {
        fail_allocation(n, 0);
        bool ok = mask_init(&m);
        fail_allocation(0, 0);
        if (ok) {
            assert_true(masked(&m, "cookie"));
            mask_free(&m);
            break;
        }
        failures++;
        assert_null(m.words);
    }
    assert_true(failures >= 6);
}

static void the_nearest_name_is_the_one_that_was_meant(void **state) {
    (void)state;
    static const char *const known[] = {"file", "line", "condition", "per_second", "sample", "log", "tag"};
    const int n = sizeof known / sizeof known[0];
    assert_string_equal(nearest_name("conditon", known, n), "condition");
    assert_string_equal(nearest_name("persecond", known, n), "per_second");
    assert_string_equal(nearest_name("flie", known, n), "file");
    assert_string_equal(nearest_name("lines", known, n), "line");
    assert_string_equal(nearest_name("Log", known, n), "log");
    assert_null(nearest_name("zzz", known, n));
    assert_null(nearest_name("", known, n));
    assert_null(nearest_name("x", known, n));
    assert_null(nearest_name("a name that is much longer than any that could have been meant", known, n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_contains_a_word_is_masked),
        cmocka_unit_test(words_can_be_added),
        cmocka_unit_test(without_memory_the_list_fails_as_a_whole),
        cmocka_unit_test(the_nearest_name_is_the_one_that_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
