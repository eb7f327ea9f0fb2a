#include "expr_scan.h"

#include <string.h>

#include "lexer.h"

/* Where the scan stands: inside which bracket, and how deep in functions written in the expression. */
enum { BRACKETS_MAX = 200 };

typedef struct position {
    lexer x;
    lex_token before, now;
    char open[BRACKETS_MAX]; /* brackets, the innermost last; deeper ones are taken for parentheses */
    int n_open;
    int blocks;      /* blocks of function bodies */
    int indexes;     /* in a row */
    bool indexed;    /* there was an index */
    bool asks;       /* and an operator that may ask metatables */
    bool parameters; /* between "function" and ")" */
    bool declares;   /* between "local" or "for" and what ends the names */
} position;

static bool step(position *p) {
    p->before = p->now;
    p->now = lex_next(&p->x);
    const lex_token *t = &p->now;
    if (t->kind == LEX_END || t->kind == LEX_BAD) return false;
    if (lex_is(t, "(") || lex_is(t, "[") || lex_is(t, "{")) {
        if (p->n_open < BRACKETS_MAX) p->open[p->n_open] = *t->at;
        p->n_open++;
    } else if ((lex_is(t, ")") || lex_is(t, "]") || lex_is(t, "}")) && p->n_open > 0) {
        p->n_open--;
    }
    if (lex_is(t, "function")) p->parameters = true;
    if (lex_is(t, ")")) p->parameters = false;
    if (lex_is(t, "function") || lex_is(t, "do") || lex_is(t, "if") || lex_is(t, "repeat")) p->blocks++;
    if ((lex_is(t, "end") || lex_is(t, "until")) && p->blocks > 0) p->blocks--;
    if (lex_is(t, "local") || lex_is(t, "for"))
        p->declares = true;
    else if (t->kind != LEX_NAME && !lex_is(t, ","))
        p->declares = false;
    return true;
}

static lex_token peek(const position *p) {
    lexer x = p->x;
    return lex_next(&x);
}

/* A name that stands for a variable: no field, no key of a table. */
static bool is_variable(const position *p) {
    if (p->now.kind != LEX_NAME) return false;
    if (lex_is(&p->before, ".") || lex_is(&p->before, ":") || lex_is(&p->before, "::") || lex_is(&p->before, "goto"))
        return false;
    bool in_table = p->n_open > 0 && p->n_open <= BRACKETS_MAX && p->open[p->n_open - 1] == '{';
    bool begins = lex_is(&p->before, "{") || lex_is(&p->before, ",") || lex_is(&p->before, ";");
    lex_token after = peek(p);
    return !(in_table && begins && lex_is(&after, "="));
}

static bool holds(const expr_name *list, int n, const lex_token *t) {
    for (int i = 0; i < n; i++) {
        if (list[i].len == t->len && memcmp(list[i].at, t->at, t->len) == 0) return true;
    }
    return false;
}

/* Whether the token before ends something that can be called or indexed. */
static bool follows_value(const position *p) {
    const lex_token *t = &p->before;
    return t->kind == LEX_NAME || t->kind == LEX_STRING || lex_is(t, ")") || lex_is(t, "]") || lex_is(t, "}");
}

static bool is_constant(const lex_token *t) {
    return t->kind == LEX_STRING || t->kind == LEX_NUMBER || lex_is(t, "nil") || lex_is(t, "true") ||
           lex_is(t, "false");
}

/* Whether the operator may ask a metatable of one of its operands, which are no constants. */
static bool asks_operands(const position *p, const lex_token *after) {
    static const char *const always[] = {"+", "-", "*", "/", "%", "^", "#", "..", "<", ">", "<=", ">="};
    const lex_token *t = &p->now;
    if (lex_is(t, "==") || lex_is(t, "~=")) return !is_constant(&p->before) && !is_constant(after);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (lex_is(t, always[i])) return true;
    }
    return false;
}

static void note_operation(position *p, expr_scan *out) {
    const lex_token *t = &p->now;
    bool value = follows_value(p);
    if (value && (lex_is(t, "(") || lex_is(t, "{") || lex_is(t, ":") || t->kind == LEX_STRING)) out->runs = true;
    if (lex_is(t, "function")) out->runs = true;
    if (lex_is(t, ".") || (value && lex_is(t, "["))) {
        if (p->indexes++ > 0) out->runs = true;
        out->operates = true;
        p->indexed = true;
    } else if (t->kind != LEX_NAME && !lex_is(t, "]") && t->kind != LEX_STRING && t->kind != LEX_NUMBER) {
        p->indexes = 0;
    }
    lex_token after = peek(p);
    bool sign = lex_is(t, "-") && !value && p->before.kind != LEX_NUMBER && after.kind == LEX_NUMBER;
    if (!sign && asks_operands(p, &after)) p->asks = true;
    if (p->indexed && p->asks) out->runs = true; /* what a field holds is not known before */
    if (t->kind == LEX_OP && t->len == 1 && strchr("+-*/%^#", *t->at) != NULL && !sign) out->operates = true;
}

/* Names that functions in the expression declare. */
static int declared_names(const char *text, size_t len, expr_name *list) {
    position p = {.x = {.next = text, .end = text + len}};
    int n = 0;
    while (step(&p)) {
        bool declared = p.blocks > 0 && p.now.kind == LEX_NAME && (p.parameters || p.declares);
        if (declared && n < EXPR_NAMES_MAX && !holds(list, n, &p.now))
            list[n++] = (expr_name){.at = p.now.at, .len = p.now.len};
    }
    return n;
}

bool expr_scan_text(const char *text, size_t len, expr_scan *out) {
    expr_name declared[EXPR_NAMES_MAX];
    int n_declared = declared_names(text, len, declared);
    position p = {.x = {.next = text, .end = text + len}};
    *out = (expr_scan){.empty = true};
    while (step(&p)) {
        out->empty = false;
        note_operation(&p, out);
        if (lex_is(&p.now, "...")) out->varargs = true;
        if (!is_variable(&p) || holds(out->names, out->n_names, &p.now)) continue;
        if (p.blocks > 0 && holds(declared, n_declared, &p.now)) continue;
        if (out->n_names == EXPR_NAMES_MAX) return false;
        out->names[out->n_names++] = (expr_name){.at = p.now.at, .len = p.now.len};
    }
    return true;
}
