/* Log templates and the tokens they are found by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lexer.h"
#include "template.h"

/* The tokens of `text` as "kind:text" with blanks between. */
static const char *tokens(const char *text) {
    static const char letters[] = "enksdob"; /* LEX_END ... LEX_BAD */
    static char out[1024];
    lexer x = {.next = text, .end = text + strlen(text)};
    size_t len = 0;
    for (;;) {
        lex_token t = lex_next(&x);
        if (t.kind == LEX_END) break;
        assert_true(t.at >= text && t.at + t.len <= text + strlen(text));
        assert_true(len + t.len + 4 < sizeof out);
        if (len > 0) out[len++] = ' ';
        out[len++] = letters[t.kind];
        out[len++] = ':';
        memcpy(out + len, t.at, t.len);
        len += t.len;
        if (t.kind == LEX_BAD) break;
    }
    out[len] = '\0';
    return out;
}

static void names_keywords_and_operators_are_told_apart(void **state) {
    (void)state;
    assert_string_equal(tokens("a_1 and not b.c:d(...)"), "n:a_1 k:and k:not n:b o:. n:c o:: n:d o:( o:... o:)");
    assert_string_equal(tokens("a..b ~= c == d <= e >= f"), "n:a o:.. n:b o:~= n:c o:== n:d o:<= n:e o:>= n:f");
    assert_string_equal(tokens("\xc3\xa4=1"), "n:\xc3\xa4 o:= d:1");
    assert_string_equal(tokens(""), "");
    assert_string_equal(tokens(" \t\n"), "");
}

static void numbers_are_one_token(void **state) {
    (void)state;
    assert_string_equal(tokens("1 1.5 .5 0x1p4 1e-3 0xffULL 1e+5"), "d:1 d:1.5 d:.5 d:0x1p4 d:1e-3 d:0xffULL d:1e+5");
    assert_string_equal(tokens("1-2"), "d:1 o:- d:2");
    assert_string_equal(tokens("a.b"), "n:a o:. n:b");
}

static void strings_end_where_lua_ends_them(void **state) {
    (void)state;
    assert_string_equal(tokens("'a\\'b' x"), "s:'a\\'b' n:x");
    assert_string_equal(tokens("\"}\\\\\" x"), "s:\"}\\\\\" n:x");
    assert_string_equal(tokens("[[a]b]] [==[x]]y]==] z"), "s:[[a]b]] s:[==[x]]y]==] n:z");
    assert_string_equal(tokens("a[b[1]]"), "n:a o:[ n:b o:[ d:1 o:] o:]");
    assert_string_equal(tokens("'a\\z  \n b' x"), "s:'a\\z  \n b' n:x");
    assert_string_equal(tokens("'a\\\nb'"), "s:'a\\\nb'");
}

static void unfinished_strings_and_comments_are_bad(void **state) {
    (void)state;
    assert_string_equal(tokens("a 'b"), "n:a b:'b");
    assert_string_equal(tokens("'b\nc'"), "b:'b\nc'");
    assert_string_equal(tokens("'b\\"), "b:'b\\");
    assert_string_equal(tokens("'b\\'"), "b:'b\\'");
    assert_string_equal(tokens("[=[a]]"), "b:[=[a]]");
    assert_string_equal(tokens("--[[a]"), "b:--[[a]");
}

static void comments_are_passed_over(void **state) {
    (void)state;
    assert_string_equal(tokens("a -- b\nc --[[ d\n]] e --[=[ ]] ]=] f --"), "n:a n:c n:e n:f");
}

/* Each text in a buffer of its very size, for the sanitizer. */
static void no_byte_past_the_end_is_read(void **state) {
    (void)state;
    static const char letters[] = "a'\"[]=-\\z\n\r {}.1xe+";
    unsigned random = 1;
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)(round % 9);
        char *text = malloc(len > 0 ? len : 1);
        assert_non_null(text);
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = letters[(random >> 16) % (sizeof letters - 1)];
        }
        lexer x = {.next = text, .end = text + len};
        lex_token t;
        size_t at = 0;
        do { /* tokens come in order and do not overlap */
            t = lex_next(&x);
            assert_true(t.at >= text + at && t.at + t.len <= text + len);
            at = (size_t)(t.at - text) + t.len;
        } while (t.kind != LEX_END && t.kind != LEX_BAD);
        template_part parts[8];
        const char *why = NULL;
        size_t where = 0;
        int n = template_split(text, len, parts, 8, &why, &where);
        if (n < 0) assert_true(why != NULL && where <= len);
        for (int i = 0; i < n; i++) assert_true(parts[i].text >= text && parts[i].text + parts[i].len <= text + len);
        free(text);
    }
}

/* The parts of a template: texts in quotes, expressions in angles. */
static const char *parts_of(const char *text) {
    static char out[512];
    template_part parts[16];
    const char *why;
    size_t at, len = 0;
    int n = template_split(text, strlen(text), parts, 16, &why, &at);
    if (n < 0) return why;
    for (int i = 0; i < n; i++) {
        assert_true(len + parts[i].len + 3 < sizeof out);
        out[len++] = parts[i].expression ? '<' : '"';
        memcpy(out + len, parts[i].text, parts[i].len);
        len += parts[i].len;
        out[len++] = parts[i].expression ? '>' : '"';
    }
    out[len] = '\0';
    return out;
}

static void a_template_is_texts_and_expressions(void **state) {
    (void)state;
    assert_string_equal(parts_of(""), "");
    assert_string_equal(parts_of("plain"), "\"plain\"");
    assert_string_equal(parts_of("n={#items} of {user.name}"), "\"n=\"<#items>\" of \"<user.name>");
    assert_string_equal(parts_of("{a}{b}"), "<a><b>");
    assert_string_equal(parts_of("{}"), "<>");
}

static void doubled_braces_stand_for_themselves(void **state) {
    (void)state;
    assert_string_equal(parts_of("{{"), "\"{\"");
    assert_string_equal(parts_of("{{x}}"), "\"{\"\"x}\"");
    assert_string_equal(parts_of("{{{x}}}"), "\"{\"<x>\"}\"");
    assert_string_equal(parts_of("a}}b"), "\"a}\"\"b\"");
}

static void braces_inside_an_expression_are_luas(void **state) {
    (void)state;
    assert_string_equal(parts_of("{({1, 2})[1]}."), "<({1, 2})[1]>\".\"");
    assert_string_equal(parts_of("{'}'}"), "<'}'>");
    assert_string_equal(parts_of("{[[}]]}"), "<[[}]]>");
    assert_string_equal(parts_of("{a --[[}]]}"), "<a --[[}]]>");
    assert_string_equal(parts_of("{ {a={}} }x"), "< {a={}} >\"x\"");
}

static void an_unbalanced_brace_is_named_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {{"ab{c", 2}, {"ab}c", 2}, {"{'}", 0}, {"{a}{ {1}", 3}, {"{a -- }", 0}, {"{{}", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        template_part parts[16];
        const char *why = NULL;
        size_t at = 99;
        assert_int_equal(template_split(cases[i].text, strlen(cases[i].text), parts, 16, &why, &at), -1);
        assert_int_equal(at, cases[i].at);
        assert_non_null(strstr(why, "without"));
    }
}

static void more_parts_than_there_is_room_for_are_refused(void **state) {
    (void)state;
    template_part parts[3];
    const char *why;
    size_t at;
    assert_int_equal(template_split("{a}b{c}", 7, parts, 3, &why, &at), 3);
    assert_int_equal(template_split("{a}b{c}d", 8, parts, 3, &why, &at), -1);
    assert_string_equal(why, "too many parts");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_keywords_and_operators_are_told_apart),
        cmocka_unit_test(numbers_are_one_token),
        cmocka_unit_test(strings_end_where_lua_ends_them),
        cmocka_unit_test(unfinished_strings_and_comments_are_bad),
        cmocka_unit_test(comments_are_passed_over),
        cmocka_unit_test(no_byte_past_the_end_is_read),
        cmocka_unit_test(a_template_is_texts_and_expressions),
        cmocka_unit_test(doubled_braces_stand_for_themselves),
        cmocka_unit_test(braces_inside_an_expression_are_luas),
        cmocka_unit_test(an_unbalanced_brace_is_named_with_its_place),
        cmocka_unit_test(more_parts_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
