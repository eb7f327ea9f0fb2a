#include "info.h"

#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter_use.h"
#include "resolve.h"

/* ---- Looked up each time ---- */

static void set_string(lua_State *L, const char *field, const char *value) {
    if (value == NULL) return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, int value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

/* What debug.getinfo(f, "nSlf") returns for the frame. */
static void push_finfo(ljinspect_hit *hit) {
    lua_State *L = hit->L;
    lua_Debug ar = hit->frame;
    lua_getinfo(L, "nSlf", &ar);
    lua_createtable(L, 0, 10);
    lua_insert(L, -2);
    lua_setfield(L, -2, "func");
    set_string(L, "source", ar.source);
    set_string(L, "short_src", ar.short_src);
    set_string(L, "what", ar.what);
    set_string(L, "name", ar.name);
    set_string(L, "namewhat", ar.namewhat);
    set_integer(L, "linedefined", ar.linedefined);
    set_integer(L, "lastlinedefined", ar.lastlinedefined);
    set_integer(L, "currentline", capture_line(hit));
}

/* A later local of the same name shadows the earlier one, also with nil. */
static void push_vals(ljinspect_hit *hit) {
    lua_State *L = hit->L;
    const char *name;
    int n = 0;
    lua_createtable(L, 0, hit->hook->locals);
    while ((name = ljinspect_hit_local_at(hit, n + 1)) != NULL) {
        n++;
        if (name[0] != '(')
            lua_setfield(L, -2, name);
        else
            lua_pop(L, 1);
    }
    hit->hook->locals = n;
}

static void push_uv(ljinspect_hit *hit) {
    lua_State *L = hit->L;
    const char *name;
    lua_Debug ar = hit->frame;
    lua_getinfo(L, "fu", &ar);
    int function = lua_gettop(L);
    lua_createtable(L, 0, ar.nups);
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++) {
        if (name[0] != '(' && name[0] != '\0')
            lua_setfield(L, -2, name);
        else
            lua_pop(L, 1);
    }
    lua_remove(L, function);
}

static void push_varargs(ljinspect_hit *hit) {
    lua_State *L = hit->L;
    int n = 0;
    lua_createtable(L, 0, 1);
    while (ljinspect_hit_vararg(hit, n + 1)) lua_rawseti(L, -2, ++n);
    set_integer(L, "n", n);
}

/* At a return: what is known of it. */
static void push_leaving(ljinspect_hit *hit, unsigned uses) {
    lua_State *L = hit->L;
    int n, tail_call;
    double us;
    if (!ljinspect_hit_leaving(hit, &n, &tail_call, &us)) return;
    if ((uses & USES_RETURNS) != 0) {
        resolve_push_returns(L, hit->context);
        lua_setfield(L, -2, "returns");
    }
    if (us >= 0) {
        lua_pushnumber(L, us);
        lua_setfield(L, -2, "duration_us");
    }
    lua_pushboolean(L, tail_call);
    lua_setfield(L, -2, "tail_call");
}

/* ---- Remembered ---- */

enum { SITES = 4, SITES_MOST = 64, VALUES_MAX = 180 };

/* A function that fills one of the tables, in the registry; LUA_NOREF where there is none. */
typedef struct maker {
    int ref;
    int values; /* how many it takes */
} maker;

typedef struct site {
    uint64_t id; /* engine.h: site */
    bool made;
    maker vals, uv, finfo;
} site;

struct info_cache {
    site sites[SITES];
    unsigned next;
    unsigned used; /* counts up to SITES_MOST: a filter that is hit all over the place is not worth it */
};

static void forget_site(context *c, site *s) {
    const int refs[] = {s->vals.ref, s->uv.ref, s->finfo.ref};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) context_unref(c, refs[i]);
    *s = (site){.vals = {.ref = LUA_NOREF}, .uv = {.ref = LUA_NOREF}, .finfo = {.ref = LUA_NOREF}};
}

void info_forget(context *c, info_cache *cache) {
    for (int i = 0; cache != NULL && i < SITES; i++) forget_site(c, &cache->sites[i]);
    free(cache);
}

/* The text as a Lua string literal, whatever is in it. */
static void add_literal(luaL_Buffer *b, const char *text) {
    luaL_addchar(b, '"');
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
        char escaped[8];
        if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_') {
            luaL_addchar(b, (char)*s);
        } else {
            snprintf(escaped, sizeof escaped, "\\%03d", *s);
            luaL_addstring(b, escaped);
        }
    }
    luaL_addchar(b, '"');
}

static void add_number(luaL_Buffer *b, const char *format, int n) {
    char text[32];
    snprintf(text, sizeof text, format, n);
    luaL_addstring(b, text);
}

/*
 * Keep the function with the `n` names as parameters that returns {name = value, ...}, of which fields that are the same
 * each time are given by `constant`. The table is made with all its fields, which is a copy of a constant one, and then
 * they are assigned: the last value of a name counts, also if it is nil. A name in parentheses, or an empty one, is none.
 */
static maker make(context *c, lua_State *L, const char *const *names, int n, void (*constant)(luaL_Buffer *, void *),
                  void *arg) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "return function(");
    for (int i = 0; i < n; i++) add_number(&b, i == 0 ? "v%d" : ",v%d", i);
    luaL_addstring(&b, ") local t={");
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '(' || names[i][0] == '\0') continue;
        luaL_addchar(&b, '[');
        add_literal(&b, names[i]);
        luaL_addstring(&b, "]=false,");
    }
    if (constant != NULL) constant(&b, arg);
    luaL_addstring(&b, "} ");
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '(' || names[i][0] == '\0') continue;
        luaL_addstring(&b, "t[");
        add_literal(&b, names[i]);
        add_number(&b, "]=v%d ", i);
    }
    luaL_addstring(&b, "return t end");
    luaL_pushresult(&b);
    size_t len;
    const char *code = lua_tolstring(L, -1, &len);
    if (luaL_loadbuffer(L, code, len, "=ljinspect") != 0) lua_error(L); /* no memory */
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    return (maker){.ref = context_ref(c, L), .values = n};
}

/* For the variables that `push` pushes by their index and names. More than VALUES_MAX are looked up each time. */
static void make_variables(ljinspect_hit *hit, maker *m, const char *(*push)(ljinspect_hit *hit, int index)) {
    const char *names[VALUES_MAX], *name;
    int n = 0;
    while ((name = push(hit, n + 1)) != NULL) {
        lua_pop(hit->L, 1);
        if (n == VALUES_MAX) return;
        names[n++] = name;
    }
    *m = make(hit->context, hit->L, names, n, NULL, NULL);
}

static void make_vals(ljinspect_hit *hit, site *s) {
    make_variables(hit, &s->vals, ljinspect_hit_local_at);
}

static void make_uv(ljinspect_hit *hit, site *s) {
    make_variables(hit, &s->uv, ljinspect_hit_upvalue_at);
}

typedef struct constant_finfo {
    lua_Debug ar;
    int line;
} constant_finfo;

static void add_field(luaL_Buffer *b, const char *name, const char *value) {
    if (value == NULL) return;
    luaL_addstring(b, name);
    luaL_addchar(b, '=');
    add_literal(b, value);
    luaL_addchar(b, ',');
}

static void add_finfo(luaL_Buffer *b, void *arg) {
    const constant_finfo *f = arg;
    add_field(b, "source", f->ar.source);
    add_field(b, "short_src", f->ar.short_src);
    add_field(b, "what", f->ar.what);
    add_number(b, "linedefined=%d,", f->ar.linedefined);
    add_number(b, "lastlinedefined=%d,", f->ar.lastlinedefined);
    add_number(b, "currentline=%d", f->line);
}

static void make_finfo(ljinspect_hit *hit, site *s) {
    static const char *const names[] = {"func", "name", "namewhat"};
    constant_finfo f = {.ar = hit->frame, .line = capture_line(hit)};
    lua_getinfo(hit->L, "S", &f.ar);
    s->finfo = make(hit->context, hit->L, names, 3, add_finfo, &f);
}

/* What is remembered of the instruction at hand, from its second hit on; else NULL. */
static site *find_site(ljinspect_hit *hit) {
    filter *f = hit->hook->filter;
    uint64_t id = hit->context->engine->site;
    if (id == 0) return NULL;
    if (f->info == NULL) {
        if ((f->info = calloc(1, sizeof *f->info)) == NULL) return NULL;
        for (int i = 0; i < SITES; i++) forget_site(hit->context, &f->info->sites[i]);
    }
    for (int i = 0; i < SITES; i++) {
        if (f->info->sites[i].id == id) return &f->info->sites[i];
    }
    if (f->info->used < SITES_MOST) {
        site *s = &f->info->sites[f->info->next++ % SITES];
        f->info->used++;
        forget_site(hit->context, s);
        s->id = id;
    }
    return NULL;
}

static void fill_vals(ljinspect_hit *hit, const site *s) {
    lua_State *L = hit->L;
    engine *e = hit->context->engine;
    luaL_checkstack(L, s->vals.values + 4, "no room for locals");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->vals.ref);
    if (e->class->push_locals == NULL || !e->class->push_locals(e, L, 1, s->vals.values)) {
        for (int i = 1; i <= s->vals.values; i++) ljinspect_hit_local_at(hit, i);
    }
    lua_call(L, s->vals.values, 1);
}

static void fill_uv(ljinspect_hit *hit, const site *s) {
    lua_State *L = hit->L;
    lua_Debug ar = hit->frame;
    luaL_checkstack(L, s->uv.values + 4, "no room for upvalues");
    lua_getinfo(L, "f", &ar);
    int function = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->uv.ref);
    for (int i = 1; i <= s->uv.values; i++) lua_getupvalue(L, function, i);
    lua_call(L, s->uv.values, 1);
    lua_remove(L, function);
}

static void fill_finfo(ljinspect_hit *hit, const site *s) {
    lua_State *L = hit->L;
    lua_Debug ar = hit->frame;
    lua_getinfo(L, "nf", &ar);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->finfo.ref);
    lua_insert(L, -2);
    lua_pushstring(L, ar.name); /* nil for NULL */
    lua_pushstring(L, ar.namewhat);
    lua_call(L, 3, 1);
}

/* ---- Both ---- */

void info_push(ljinspect_hit *hit, unsigned uses) {
    static const struct {
        const char *name;
        unsigned part;
        void (*push)(ljinspect_hit *hit);
        void (*make)(ljinspect_hit *hit, site *s);
        void (*fill)(ljinspect_hit *hit, const site *s);
        size_t maker;
    } parts[] = {{"finfo", USES_FINFO, push_finfo, make_finfo, fill_finfo, offsetof(site, finfo)},
                 {"vals", USES_VALS, push_vals, make_vals, fill_vals, offsetof(site, vals)},
                 {"uv", USES_UV, push_uv, make_uv, fill_uv, offsetof(site, uv)},
                 {"varargs", USES_VARARGS, push_varargs, NULL, NULL, 0}};
    lua_State *L = hit->L;
    luaL_checkstack(L, 12, "no room for a hit");
    lua_createtable(L, 0, 4);
    site *s = find_site(hit);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if ((uses & parts[i].part) == 0) continue;
        const maker *m =
            s != NULL && parts[i].make != NULL ? (const maker *)(const void *)((const char *)s + parts[i].maker) : NULL;
        if (m != NULL && m->ref == LUA_NOREF && !s->made) parts[i].make(hit, s);
        if (m != NULL && m->ref != LUA_NOREF) {
            parts[i].fill(hit, s);
        } else {
            parts[i].push(hit);
        }
        lua_setfield(L, -2, parts[i].name);
    }
    if (s != NULL) s->made = true;
    push_leaving(hit, uses);
}
