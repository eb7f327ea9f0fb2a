#include "lexer.h"

#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* lj_char.c: bytes from 0x80 on are letters to LuaJIT. */
static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c) {
    return is_letter(c) || is_digit(c);
}

static bool is_keyword(const char *at, size_t len) {
    static const char *const words[] = {"and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
                                        "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
                                        "repeat",   "return", "then", "true", "until",  "while"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i]) == len && memcmp(words[i], at, len) == 0) return true;
    }
    return false;
}

/* The level of a long bracket that opens at `p`; -1 for none. */
static int long_level(const char *p, const char *end) {
    int level = 0;
    if (p == end || *p != '[') return -1;
    for (p++; p < end && *p == '='; p++) level++;
    return p < end && *p == '[' ? level : -1;
}

/* Past the end of the long bracket of `level` that opens at `p`; NULL where it has none. */
static const char *long_end(const char *p, const char *end, int level) {
    for (p += level + 2; p < end; p++) {
        if (*p != ']') continue;
        const char *q = p + 1;
        int n = 0;
        while (q < end && *q == '=') {
            q++;
            n++;
        }
        if (n == level && q < end && *q == ']') return q + 1;
    }
    return NULL;
}

/* Past white space and comments; NULL in an unfinished comment. */
static const char *skip(const char *p, const char *end) {
    for (;;) {
        while (p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) p++;
        if (end - p < 2 || p[0] != '-' || p[1] != '-') return p;
        int level = long_level(p + 2, end);
        if (level >= 0) {
            p = long_end(p + 2, end, level);
            if (p == NULL) return NULL;
        } else {
            while (p < end && *p != '\n') p++;
        }
    }
}

/* Past the quoted string that opens at `p`; NULL where it does not end. */
static const char *string_end(const char *p, const char *end) {
    char quote = *p++;
    for (; p < end && *p != quote; p++) {
        if (*p == '\n' || *p == '\r') return NULL;
        if (*p != '\\') continue;
        if (++p == end) break;
        if (*p == 'z') {
            while (p + 1 < end && (p[1] == ' ' || (p[1] >= '\t' && p[1] <= '\r'))) p++;
        } else if (p + 1 < end && p[0] == '\r' && p[1] == '\n') {
            p++;
        }
    }
    return p < end ? p + 1 : NULL;
}

static const char *number_end(const char *p, const char *end) {
    bool hex = end - p >= 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    for (; p < end && (is_word(*p) || *p == '.'); p++) {
        bool exponent = hex ? *p == 'p' || *p == 'P' : *p == 'e' || *p == 'E';
        if (exponent && p + 1 < end && (p[1] == '+' || p[1] == '-')) p++;
    }
    return p;
}

static size_t op_len(const char *p, const char *end) {
    static const char *const longer[] = {"...", "..", "==", "~=", "<=", ">=", "::"};
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        size_t len = strlen(longer[i]);
        if ((size_t)(end - p) >= len && memcmp(p, longer[i], len) == 0) return len;
    }
    return 1;
}

lex_token lex_next(lexer *x) {
    const char *at = skip(x->next, x->end), *past;
    lex_token t = {.kind = LEX_BAD, .at = x->next, .len = (size_t)(x->end - x->next)};
    if (at == NULL) {
        x->next = x->end;
        return t;
    }
    t.at = at;
    int level = at < x->end ? long_level(at, x->end) : -1;
    if (at == x->end) {
        t.kind = LEX_END;
        past = at;
    } else if (is_letter(*at)) {
        for (past = at + 1; past < x->end && is_word(*past);) past++;
        t.kind = is_keyword(at, (size_t)(past - at)) ? LEX_KEYWORD : LEX_NAME;
    } else if (is_digit(*at) || (*at == '.' && x->end - at > 1 && is_digit(at[1]))) {
        t.kind = LEX_NUMBER;
        past = number_end(at, x->end);
    } else if (*at == '"' || *at == '\'' || level >= 0) {
        past = level >= 0 ? long_end(at, x->end, level) : string_end(at, x->end);
        if (past != NULL) t.kind = LEX_STRING;
    } else {
        t.kind = LEX_OP;
        past = at + op_len(at, x->end);
    }
    x->next = past != NULL ? past : x->end;
    t.len = (size_t)(x->next - at);
    return t;
}

bool lex_is(const lex_token *t, const char *text) {
    return (t->kind == LEX_OP || t->kind == LEX_KEYWORD) && strlen(text) == t->len && memcmp(t->at, text, t->len) == 0;
}
