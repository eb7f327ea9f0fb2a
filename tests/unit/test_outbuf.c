/* What lines are written into, and the summaries of counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "outbuf.h"
#include "tally.h"
#include "ticks.h"

static outbuf o;

static const char *text(void) {
    return out_terminate(&o);
}

static int setup(void **state) {
    (void)state;
    out_clear(&o);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fail_allocation(0, 0);
    out_free(&o);
    return 0;
}

static void numbers_are_written_as_lua_writes_them(void **state) {
    (void)state;
    static const struct {
        double n;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-17, "-17"},
                 {1.5, "1.5"},
                 {1e14, "1e+14"},
                 {1e15, "1e+15"},
                 {123456789, "123456789"},
                 {-99999999999999.0, "-99999999999999"},
                 {1e300, "1e+300"},
                 {0.1, "0.1"},
                 {2.0 / 3, "0.66666666666667"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        out_clear(&o);
        out_number(&o, cases[i].n);
        if (strcmp(text(), cases[i].text) != 0) fail_msg("%s, not %s", text(), cases[i].text);
    }
    out_clear(&o);
    out_integer(&o, INT64_MIN);
    assert_string_equal(text(), "-9223372036854775808");
}

static void times_are_written_in_utc(void **state) {
    (void)state;
    out_time(&o, 0);
    out_char(&o, ' ');
    out_time(&o, 1000000000LL * 1000000 + 42);
    out_char(&o, ' ');
    out_time(&o, 1000000000LL * 1000000 + 999999);
    assert_string_equal(text(), "1970-01-01T00:00:00.000000Z 2001-09-09T01:46:40.000042Z 2001-09-09T01:46:40.999999Z");
}

/* As the C library has it, on days of all kinds. */
static void dates_are_those_of_the_calendar(void **state) {
    (void)state;
    for (int64_t second = 0; second < OUT_LAST_SECOND; second += 86400 * 13 + 3607 + second / 5000) {
        char expected[32], date[OUT_DATE_SIZE];
        time_t t = (time_t)second;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
        out_date(date, second);
        assert_string_equal(date, expected);
    }
    char date[OUT_DATE_SIZE];
    out_date(date, OUT_LAST_SECOND + 5);
    assert_string_equal(date, "9999-12-31T23:59:59");
    out_date(date, -1);
    assert_string_equal(date, "1970-01-01T00:00:00");
}

static const char *json(const char *bytes, size_t n, bool valid) {
    out_clear(&o);
    assert_int_equal(out_json_string(&o, bytes, n), valid);
    return text();
}

static void json_strings_are_json_whatever_the_bytes(void **state) {
    (void)state;
    assert_string_equal(json("a\"\\/\n\t\0\x7f", 8, true), "\"a\\\"\\\\/\\n\\u0009\\u0000\\u007f\"");
    assert_string_equal(json("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, true),
                        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    assert_string_equal(json("\xff", 1, false), "\"\\ufffd\"");
    assert_string_equal(json("a\x80z", 3, false), "\"a\\ufffdz\"");
    assert_string_equal(json("\xc3", 1, false), "\"\\ufffd\"");            /* cut */
    assert_string_equal(json("\xc0\xaf", 2, false), "\"\\ufffd\\ufffd\""); /* longer than need be */
    assert_string_equal(json("\xe0\x80\xaf", 3, false), "\"\\ufffd\\ufffd\\ufffd\"");
    assert_string_equal(json("\xed\xa0\x80", 3, false), "\"\\ufffd\\ufffd\\ufffd\"");            /* a surrogate */
    assert_string_equal(json("\xf4\x90\x80\x80", 4, false), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""); /* past the last one */
    assert_string_equal(json("", 0, true), "\"\"");
    /* Characters that a terminal would obey. */
    assert_string_equal(json("\xc2\x9b\xc2\xa0\xe2\x80\xae\xe2\x80\xa8\xd8\x9c", 12, true),
                        "\"\\u009b\xc2\xa0\\u202e\\u2028\\u061c\"");
}

static void texts_stay_on_their_line(void **state) {
    (void)state;
    out_quoted(&o, "a\"b\\\n\0\xff\xc3\xa4", 9);
    assert_string_equal(text(), "\"a\\\"b\\\\\\n\\x00\\xff\xc3\xa4\"");
    out_clear(&o);
    out_line(&o, "a\r\nb\0c\x7f\xff", 8);
    assert_string_equal(text(), "a\\x0d\\nb\\x00c\\x7f\\xff");
    out_clear(&o);
    out_line(&o, "\xc2\x9b\xc3\xa4\xe2\x80\xaex\xe2\x80", 10);
    assert_string_equal(text(), "\\xc2\\x9b\xc3\xa4\\xe2\\x80\\xaex\\xe2\\x80");
    out_clear(&o);
    out_quoted(&o, "\xc2\x9b\xe2\x80\xaex", 6);
    assert_string_equal(text(), "\"\\xc2\\x9b\\xe2\\x80\\xaex\"");
}

static void no_character_is_cut_in_two(void **state) {
    (void)state;
    const char euro[] = "a\xe2\x82\xac";
    assert_int_equal(out_utf8_cut(euro, 4, 10), 4);
    assert_int_equal(out_utf8_cut(euro, 4, 4), 4);
    assert_int_equal(out_utf8_cut(euro, 4, 3), 1);
    assert_int_equal(out_utf8_cut(euro, 4, 2), 1);
    assert_int_equal(out_utf8_cut(euro, 4, 1), 1);
    assert_int_equal(out_utf8_cut(euro, 4, 0), 0);
    assert_int_equal(out_utf8_cut("\x80\x80\x80\x80\x80", 5, 4), 4); /* no UTF-8: cut where it may be */
}

static void without_memory_the_text_is_marked_and_nothing_more_is_added(void **state) {
    (void)state;
    out_free(&o);
    out_text(&o, "x");
    fail_allocation(1, 1);
    for (int i = 0; i < 1000; i++) out_text(&o, "more");
    fail_allocation(0, 0);
    assert_true(o.failed);
    size_t len = o.len;
    out_text(&o, "y");
    assert_int_equal(o.len, len);
    assert_null(text());
    out_clear(&o);
    out_text(&o, "again");
    assert_string_equal(text(), "again");
}

/* ---- Counts ---- */

static void buckets_double(void **state) {
    (void)state;
    assert_int_equal(tally_bucket(0), 0);
    assert_int_equal(tally_bucket(-5), 0);
    assert_int_equal(tally_bucket(0.99), 0);
    assert_int_equal(tally_bucket(1), 1);
    assert_int_equal(tally_bucket(1.99), 1);
    assert_int_equal(tally_bucket(2), 2);
    assert_int_equal(tally_bucket(3.99), 2);
    assert_int_equal(tally_bucket(4), 3);
    assert_int_equal(tally_bucket(ldexp(1, 63)), 64);
    assert_int_equal(tally_bucket(ldexp(1, 64)), TALLY_BUCKETS - 1);
    assert_int_equal(tally_bucket(INFINITY), TALLY_BUCKETS - 1);
    assert_int_equal(tally_bucket(-INFINITY), 0);
}

static void a_summary_says_how_many_and_how_values_are_spread(void **state) {
    (void)state;
    ticks_open();
    uint64_t second = ticks_per_second();
    tally t = {.interval = second};
    assert_false(tally_due(&t, 5 * second)); /* not begun */
    tally_hit(&t, 10 * second);
    tally_hit(&t, 11 * second);
    tally_hit(&t, 11 * second);
    assert_true(tally_value(&t, 1) && tally_value(&t, 3) && tally_value(&t, 0));
    assert_false(tally_value(&t, NAN));
    assert_true(tally_due(&t, 11 * second));
    assert_false(tally_due(&t, 11 * second - 2));
    tally_summary(&t, 12 * second, "a\nb", &o);
    assert_string_equal(
        text(), "3 hits in 2.0 s (1.5/s); a\\nb: min 0, mean 1.3333333333333, max 3, <1: 1, [1, 2): 1, [2, 4): 1");
    out_clear(&o);
    tally_json(&t, 12 * second, "a\nb", &o);
    assert_string_equal(text(),
                        "\"hits\":3,\"seconds\":2,\"of\":\"a\\nb\",\"values\":3,\"min\":0,\"mean\":1.3333333333333,"
                        "\"max\":3,\"buckets\":[{\"n\":1,\"below\":1},{\"n\":1,\"from\":1,\"below\":2},"
                        "{\"n\":1,\"from\":2,\"below\":4}]");
    tally_begin(&t, 12 * second);
    assert_int_equal(t.hits + t.values, 0);
    assert_false(tally_due(&t, 13 * second - 2));
    out_clear(&o);
    tally_summary(&t, 13 * second, "x", &o);
    assert_string_equal(text(), "0 hits in 1.0 s (0.0/s); x: no values");
}

static void infinite_values_are_no_invalid_json(void **state) {
    (void)state;
    ticks_open();
    tally t = {.interval = 1};
    tally_hit(&t, 1);
    assert_true(tally_value(&t, INFINITY) && tally_value(&t, -INFINITY));
    tally_json(&t, 1, "x", &o);
    assert_non_null(strstr(text(), "\"min\":\"-inf\",\"mean\":\"nan\",\"max\":\"inf\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_written_as_lua_writes_them, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_written_in_utc, setup, teardown),
        cmocka_unit_test_setup_teardown(dates_are_those_of_the_calendar, setup, teardown),
        cmocka_unit_test_setup_teardown(json_strings_are_json_whatever_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_stay_on_their_line, setup, teardown),
        cmocka_unit_test_setup_teardown(no_character_is_cut_in_two, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_the_text_is_marked_and_nothing_more_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(buckets_double, setup, teardown),
        cmocka_unit_test_setup_teardown(a_summary_says_how_many_and_how_values_are_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(infinite_values_are_no_invalid_json, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
