/*
 * What an expression names and what evaluating it may run. Knows no Lua VM; whether it is Lua is for the compiler.
 */
#ifndef LJINSPECT_EXPR_SCAN_H
#define LJINSPECT_EXPR_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum { EXPR_NAMES_MAX = 60 };

/* A name in the expression's text. */
typedef struct expr_name {
    const char *at;
    size_t len;
} expr_name;

typedef struct expr_scan {
    expr_name names[EXPR_NAMES_MAX]; /* free ones, each once, in order of appearance */
    int n_names;
    bool varargs;  /* it has "..." */
    bool runs;     /* it may run a function, whatever its names stand for: a call, an operation on a field */
    bool operates; /* it may run a metamethod of a string */
    bool empty;
} expr_scan;

/* Scan an expression. False: it has too many names. */
bool expr_scan_text(const char *text, size_t len, expr_scan *out);

#endif
