#include "template.h"

#include "lexer.h"

/* The closing brace of the expression that starts at `p`; NULL where it has none. */
static const char *closing_brace(const char *p, const char *end) {
    lexer x = {.next = p, .end = end};
    int depth = 0;
    for (;;) {
        lex_token t = lex_next(&x);
        if (t.kind == LEX_END || t.kind == LEX_BAD) return NULL;
        if (lex_is(&t, "{")) depth++;
        if (lex_is(&t, "}") && depth-- == 0) return t.at;
    }
}

typedef struct splitting {
    template_part *parts;
    int n, max;
} splitting;

static bool add(splitting *s, const char *from, const char *to, bool expression) {
    if (from == to && !expression) return true;
    if (s->n == s->max) return false;
    s->parts[s->n++] = (template_part){.text = from, .len = (size_t)(to - from), .expression = expression};
    return true;
}

int template_split(const char *text, size_t len, template_part *parts, int max, const char **why, size_t *at) {
    splitting s = {.parts = parts, .max = max};
    const char *end = text + len, *from = text, *p = text;
    while (p < end) {
        const char *brace = p;
        if (*p != '{' && *p != '}') {
            p++;
            continue;
        }
        *at = (size_t)(p - text);
        *why = "too many parts";
        if (p + 1 < end && p[1] == *p) { /* the first of the two goes with the text before it */
            if (!add(&s, from, p + 1, false)) return -1;
            p = from = p + 2;
            continue;
        }
        if (*p == '}') {
            *why = "'}' without '{' (write '}}' for a brace)";
            return -1;
        }
        p = closing_brace(brace + 1, end);
        if (p == NULL) {
            *why = "'{' without '}' (write '{{' for a brace)";
            return -1;
        }
        if (!add(&s, from, brace, false) || !add(&s, brace + 1, p, true)) return -1;
        from = ++p;
    }
    *at = len;
    *why = "too many parts";
    return add(&s, from, end, false) ? s.n : -1;
}
