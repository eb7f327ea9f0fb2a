/*
 * The tokens of Lua source, as far as names, brackets and positions matter: enough to find the free names of an
 * expression and the end of one inside a template. The compiler has the last word on everything else. Knows no Lua VM.
 */
#ifndef LJINSPECT_LEXER_H
#define LJINSPECT_LEXER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum lex_kind {
    LEX_END,
    LEX_NAME,
    LEX_KEYWORD,
    LEX_STRING,
    LEX_NUMBER,
    LEX_OP,
    LEX_BAD /* an unfinished string or comment: reaches to the end */
} lex_kind;

typedef struct lex_token {
    lex_kind kind;
    const char *at;
    size_t len;
} lex_token;

typedef struct lexer {
    const char *next, *end;
} lexer;

/* The next token; LEX_END for ever at the end. */
lex_token lex_next(lexer *x);

/* Whether the token is this keyword or operator. */
bool lex_is(const lex_token *t, const char *text);

#endif
