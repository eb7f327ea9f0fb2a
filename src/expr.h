/*
 * A Lua expression of a hook: compiled once into a function that takes the variables it names as arguments, so that it
 * reads nothing else and whatever it assigns is its own copy.
 */
#ifndef LJINSPECT_EXPR_H
#define LJINSPECT_EXPR_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "resolve.h"

struct context;

enum { EXPR_TEXT_MAX = 4096 };

typedef struct expr {
    int ref;    /* registry: the function; LUA_NOREF: none */
    int *names; /* of the resolver, in the order of the parameters */
    int n_names;
    bool varargs;
    bool runs;     /* evaluating it may run functions, whatever the values are */
    bool operates; /* and metamethods of strings */
} expr;

/* What is wrong with an expression. */
typedef struct expr_error {
    char text[160];
    size_t at; /* in the expression, from 0 */
    int code;  /* an ljinspect_error: _ARGUMENT; _NOMEM or _BUSY (within a finalizer), without a text */
} expr_error;

/* Compile `text`, adding its names to `r`. False with *error set. `e` is as expr_init left it. May raise a memory error. */
bool expr_compile(struct context *c, lua_State *L, const char *text, size_t len, resolver *r, expr *e,
                  expr_error *error);

void expr_init(expr *e);
void expr_free(struct context *c, expr *e);

/* Evaluate, at a hit, what asks for locals alone and runs nothing, without a frame, and outside of a protected call: 1, true; 0,
 * false; below 0 where more is needed, or for an error, with nothing done. Raises nothing. Needs LUA_MINSTACK stack slots. */
int expr_quick(const expr *e, const resolver *r, struct context *c, lua_State *L);

/* Evaluate and push the value; raise what the expression raises. Called at a hit, after resolve_prepare(). */
void expr_eval(const expr *e, const resolver *r, const resolve_frame *f);

/* The same, but an error is pushed and its status returned. May raise an error where the Lua stack cannot grow. */
int expr_try(const expr *e, const resolver *r, const resolve_frame *f);

#endif
