/* What an expression names, and what evaluating it may run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr_scan.h"

static expr_scan s;

static bool scan(const char *text) {
    return expr_scan_text(text, strlen(text), &s);
}

/* The free names, with commas. */
static const char *names(const char *text) {
    static char out[512];
    size_t len = 0;
    assert_true(scan(text));
    for (int i = 0; i < s.n_names; i++) {
        if (i > 0) out[len++] = ',';
        memcpy(out + len, s.names[i].at, s.names[i].len);
        len += s.names[i].len;
    }
    out[len] = '\0';
    return out;
}

static void variables_are_found_once_in_order(void **state) {
    (void)state;
    assert_string_equal(names("i == 222 and self.name:find('x')"), "i,self");
    assert_string_equal(names("a + b * a"), "a,b");
    assert_string_equal(names("1 + 2"), "");
}

static void fields_methods_and_keys_are_no_variables(void **state) {
    (void)state;
    assert_string_equal(names("a.b.c"), "a");
    assert_string_equal(names("a:m(b)"), "a,b");
    assert_string_equal(names("a[b].c"), "a,b");
    assert_string_equal(names("f{x = y, z, [k] = 1; w = v}"), "f,y,z,k,v");
    assert_string_equal(names("f(x == y)"), "f,x,y");
    assert_string_equal(names("{a == b}"), "a,b"); /* no key: it is compared */
}

static void names_in_strings_and_comments_are_none(void **state) {
    (void)state;
    assert_string_equal(names("'a' .. \"b\" .. [[c]] .. d -- e"), "d");
}

static void what_a_function_declares_is_its_own(void **state) {
    (void)state;
    assert_string_equal(names("(function(p, q) local r, t = p, u return q + r + t end)(a)"), "u,a");
    assert_string_equal(names("(function(...) for k, v in pairs(t) do n = n + v end end)()"), "pairs,t,n");
    assert_string_equal(names("p + (function(p) return p end)(1)"), "p");
}

static void varargs_are_noticed(void **state) {
    (void)state;
    assert_true(scan("select('#', ...)"));
    assert_true(s.varargs);
    assert_true(scan("a .. b"));
    assert_false(s.varargs);
}

static void an_expression_without_tokens_is_empty(void **state) {
    (void)state;
    assert_true(scan("  -- nothing"));
    assert_true(s.empty);
    assert_true(scan("a"));
    assert_false(s.empty);
}

/* `runs` decides whether time is kept: false only where nothing can be called. */
static void what_may_call_a_function_is_noticed(void **state) {
    (void)state;
    static const char *const calls[] = {
        "f()",     "f{}",     "f'x'",     "f[[x]]",   "a:m()",    "(a)()",      "a.b()",
        "a.b.c",   "a[1][2]", "a[b.c].d", "a.b[1]",   "f(1) + 1", "f 'x' .",    "function() end",
        "a.b + 1", "a.b < c", "a.b == c", "b ~= a.b", "#a.b",     "a.b .. 'x'", "a[1] == b[2]"};
    static const char *const none[] = {
        "a == b", "a and b or not c", "a < 1 and b > 2",         "a",        "nil", "a.b", "a[1]",
        "-1",     "a.b == 'x'",       "a.b ~= nil and i == 222", "1 == a[2]"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        (void)scan(calls[i]);
        if (!s.runs) fail_msg("%s may run something", calls[i]);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        (void)scan(none[i]);
        if (s.runs) fail_msg("%s runs nothing", none[i]);
    }
}

static void what_may_call_a_metamethod_of_strings_is_noticed(void **state) {
    (void)state;
    static const char *const some[] = {"a + 1", "a * b", "a / b", "a % b", "a ^ b", "a - b", "-a", "a.x", "a[1]"};
    static const char *const none[] = {"a == 'x'", "a .. 'x'", "not a", "-1", "a == -1", "a < 'x'"};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        assert_true(scan(some[i]));
        if (!s.operates) fail_msg("%s may ask a string's metatable", some[i]);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_true(scan(none[i]));
        if (s.operates) fail_msg("%s asks no string's metatable", none[i]);
    }
}

static void too_many_names_are_refused(void **state) {
    (void)state;
    char text[8 * (EXPR_NAMES_MAX + 1) + 1];
    size_t len = 0;
    for (int i = 0; i < EXPR_NAMES_MAX; i++) len += (size_t)snprintf(text + len, sizeof text - len, "+n%d", i);
    assert_true(expr_scan_text(text + 1, len - 1, &s));
    assert_int_equal(s.n_names, EXPR_NAMES_MAX);
    len += (size_t)snprintf(text + len, sizeof text - len, "+more");
    assert_false(expr_scan_text(text + 1, len - 1, &s));
}

static void deep_brackets_do_no_harm(void **state) {
    (void)state;
    enum { N = 100000 };
    char *text = malloc(2 * N + 1);
    assert_non_null(text);
    for (int i = 0; i < N; i++) text[i] = "([{"[i % 3];
    text[N] = 'a';
    for (int i = 0; i < N; i++) text[N + 1 + i] = ")]}"[(N - 1 - i) % 3];
    assert_true(expr_scan_text(text, 2 * N + 1, &s));
    assert_int_equal(s.n_names, 1);
    for (int i = 0; i < N; i++) text[i] = ']';
    assert_true(expr_scan_text(text, N, &s));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_found_once_in_order),
        cmocka_unit_test(fields_methods_and_keys_are_no_variables),
        cmocka_unit_test(names_in_strings_and_comments_are_none),
        cmocka_unit_test(what_a_function_declares_is_its_own),
        cmocka_unit_test(varargs_are_noticed),
        cmocka_unit_test(an_expression_without_tokens_is_empty),
        cmocka_unit_test(what_may_call_a_function_is_noticed),
        cmocka_unit_test(what_may_call_a_metamethod_of_strings_is_noticed),
        cmocka_unit_test(too_many_names_are_refused),
        cmocka_unit_test(deep_brackets_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
