#include "expr.h"

#include <lauxlib.h>
#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "expr_scan.h"
#include "jit_mode.h"
#include "lexer.h"
#include "time_limit.h"

static const char chunk_name[] = "=expression";

void expr_init(expr *e) {
    *e = (expr){.ref = LUA_NOREF};
}

void expr_free(context *c, expr *e) {
    context_unref(c, e->ref);
    free(e->names);
    expr_init(e);
}

/* ---- Where a syntax error is ---- */

/* The compiler's message for `before`, the first `len` bytes of `text` and `after`, or NULL where it compiles; on top of
 * the stack either way. */
static const char *compile(lua_State *L, const char *before, const char *text, size_t len, const char *after) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, before);
    luaL_addlstring(&b, text, len);
    luaL_addstring(&b, after);
    luaL_pushresult(&b);
    size_t size;
    const char *code = lua_tolstring(L, -1, &size);
    int status = luaL_loadbuffer(L, code, size, chunk_name);
    if (status == LUA_ERRMEM) lua_error(L);
    lua_remove(L, -2);
    return status != 0 ? lua_tostring(L, -1) : NULL;
}

static bool is_at_end(const char *message) {
    return strstr(message, "near '<eof>'") != NULL;
}

/* The compiler stops at the first token that cannot follow what is before it: with all before it and nothing more it
 * complains about the end instead. */
static size_t error_place(lua_State *L, const char *before, const char *text, size_t len) {
    lexer x = {.next = text, .end = text + len};
    for (;;) {
        lex_token t = lex_next(&x);
        if (t.kind == LEX_END || t.kind == LEX_BAD) return (size_t)(t.at - text);
        const char *message = compile(L, before, text, (size_t)(t.at + t.len - text), "");
        bool here = message != NULL && !is_at_end(message);
        lua_pop(L, 1);
        if (here) return (size_t)(t.at - text);
    }
}

/* Whether `before` text `after` compiles; if not, *error says what is wrong. */
static bool check(lua_State *L, const char *before, const char *text, size_t len, const char *after,
                  expr_error *error) {
    const char *message = compile(L, before, text, len, after);
    if (message == NULL) {
        lua_pop(L, 1);
        return true;
    }
    const char *text_of_it = strstr(message, ": ");
    snprintf(error->text, sizeof error->text, "%s", text_of_it != NULL ? text_of_it + 2 : message);
    lua_pop(L, 1);
    error->at = error_place(L, before, text, len);
    return false;
}

/* ---- Compiling ---- */

/* Nothing but its arguments is visible to an expression. */
static int no_variable(lua_State *L) {
    return luaL_error(L, "variable '%s' cannot be used inside a function here",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

static void push_environment(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, no_variable);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, no_variable);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
}

/* Push the function; 0, or LJINSPECT_ERR_BUSY. The expression is known to compile by itself. */
static int push_function(lua_State *L, const char *text, size_t len, const expr_scan *s) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "return function(");
    for (int i = 0; i < s->n_names; i++) {
        if (i > 0) luaL_addchar(&b, ',');
        luaL_addlstring(&b, s->names[i].at, s->names[i].len);
    }
    if (s->varargs) luaL_addstring(&b, s->n_names > 0 ? ",..." : "...");
    luaL_addstring(&b, ") return (");
    luaL_addlstring(&b, text, len);
    luaL_addstring(&b, "\n) end");
    luaL_pushresult(&b);
    size_t size;
    const char *code = lua_tolstring(L, -1, &size);
    if (luaL_loadbuffer(L, code, size, chunk_name) != 0) lua_error(L);
    push_environment(L);
    lua_setfenv(L, -2);
    lua_call(L, 0, 1);
    lua_remove(L, -2);
    /* Compiled code cannot be interrupted, see time_limit.h. */
    return jit_mode(L, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
}

static bool no_memory(expr_error *error) {
    error->code = LJINSPECT_ERR_NOMEM;
    return false;
}

bool expr_compile(context *c, lua_State *L, const char *text, size_t len, resolver *r, expr *e, expr_error *error) {
    expr_scan s;
    *error = (expr_error){.code = LJINSPECT_ERR_ARGUMENT};
    luaL_checkstack(L, 10, "no room for an expression");
    if (len > EXPR_TEXT_MAX) {
        snprintf(error->text, sizeof error->text, "longer than %d bytes", EXPR_TEXT_MAX);
        return false;
    }
    bool few = expr_scan_text(text, len, &s);
    if (s.empty) {
        snprintf(error->text, sizeof error->text, "an expression expected");
        return false;
    }
    if (!check(L, "return ", text, len, "", error) || !check(L, "return (", text, len, "\n)", error)) return false;
    if (!few) {
        snprintf(error->text, sizeof error->text, "more than %d names", EXPR_NAMES_MAX);
        return false;
    }
    e->names = malloc((size_t)(s.n_names > 0 ? s.n_names : 1) * sizeof *e->names);
    if (e->names == NULL) return no_memory(error);
    for (int i = 0; i < s.n_names; i++) {
        e->names[i] = resolve_add(r, s.names[i].at, s.names[i].len);
        if (e->names[i] >= 0) continue;
        if (e->names[i] == RESOLVE_NO_MEMORY) return no_memory(error);
        snprintf(error->text, sizeof error->text, "more names than there is room for");
        return false;
    }
    e->n_names = s.n_names;
    e->varargs = s.varargs;
    e->runs = s.runs;
    e->operates = s.operates;
    int busy = push_function(L, text, len, &s);
    if (busy != 0) {
        error->code = busy;
        return false;
    }
    e->ref = context_ref(c, L);
    return true;
}

/* ---- Evaluating ---- */

/* Whether an operation on the value on top of the stack may run a function. */
static bool has_metamethods(lua_State *L, bool strings) {
    int type = lua_type(L, -1);
    if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || (type == LUA_TSTRING && !strings))
        return false;
    bool yes = lua_getmetatable(L, -1) != 0;
    if (yes) lua_pop(L, 1);
    return yes;
}

/* Push the varargs; how many. */
static int push_varargs(const resolve_frame *f, bool strings, bool *runs) {
    int n = 0;
    luaL_checkstack(f->L, 4, "no room for varargs");
    while (lua_getlocal(f->L, f->frame, -1 - n) != NULL) { /* lj_debug.c, debug_localname: negative as in Lua 5.2 */
        n++;
        *runs = *runs || has_metamethods(f->L, strings);
        luaL_checkstack(f->L, 4, "too many varargs");
    }
    return n;
}

/* Push the function and its arguments: how many, or -1 with an error in their place and *status set. */
static int push_call(const expr *e, const resolver *r, const resolve_frame *f, int *status) {
    lua_State *L = f->L;
    bool runs = e->runs;
    int n = e->n_names;
    if (n > 4) luaL_checkstack(L, n + 6, "no room for variables");
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
    for (int i = 0; i < n; i++) {
        if (!resolve_push(r, f, e->names[i])) {
            time_limit_begin(f->context, L);
            *status = resolve_call(r, f, e->names[i]);
            if (*status != 0) {
                lua_replace(L, -2 - i);
                lua_pop(L, i);
                return -1;
            }
        }
        runs = runs || has_metamethods(L, e->operates);
    }
    if (e->varargs) n += push_varargs(f, e->operates, &runs);
    if (runs) time_limit_begin(f->context, L);
    return n;
}

int expr_quick(const expr *e, const resolver *r, context *c, lua_State *L) {
    enum { NAMES_MAX = 12 };
    int top = lua_gettop(L), result = -1, n = 0;
    if (e->runs || e->varargs || e->n_names > NAMES_MAX || !resolve_is_known(r, c)) return -1;
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->ref);
    while (n < e->n_names && resolve_push_local(r, c, L, e->names[n]) && !has_metamethods(L, e->operates)) n++;
    if (n == e->n_names && lua_pcall(L, n, 1, 0) == 0) result = lua_toboolean(L, -1);
    lua_settop(L, top);
    return result;
}

void expr_eval(const expr *e, const resolver *r, const resolve_frame *f) {
    int status = 0, n = push_call(e, r, f, &status);
    if (n < 0) lua_error(f->L);
    lua_call(f->L, n, 1);
}

int expr_try(const expr *e, const resolver *r, const resolve_frame *f) {
    int status = 0, n = push_call(e, r, f, &status);
    return n < 0 ? status : lua_pcall(f->L, n, 1, 0);
}
