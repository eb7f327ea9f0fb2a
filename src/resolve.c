#include "resolve.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"

static resolve_kind kind_of(const resolver *r, const char *name) {
    static const char *const names[] = {"returns", "duration_us", "tail_call"};
    for (int i = 0; r->at_return && i < 3; i++) {
        if (strcmp(name, names[i]) == 0) return (resolve_kind)(RESOLVE_RETURNS + i);
    }
    return RESOLVE_GLOBAL;
}

int resolve_add(resolver *r, const char *text, size_t len) {
    for (int i = 0; i < r->n; i++) {
        if (strlen(r->names[i].text) == len && memcmp(r->names[i].text, text, len) == 0) return i;
    }
    if (r->n == RESOLVE_NAMES_MAX) return RESOLVE_FULL;
    resolve_name *names = realloc(r->names, (size_t)(r->n + 1) * sizeof *names);
    if (names == NULL) return RESOLVE_NO_MEMORY;
    r->names = names;
    char *copy = malloc(len + 1);
    if (copy == NULL) return RESOLVE_NO_MEMORY;
    memcpy(copy, text, len);
    copy[len] = '\0';
    names[r->n] = (resolve_name){.text = copy, .kind = kind_of(r, copy)};
    r->returns = r->returns || names[r->n].kind == RESOLVE_RETURNS;
    return r->n++;
}

void resolve_free(resolver *r) {
    for (int i = 0; i < r->n; i++) free(r->names[i].text);
    free(r->names);
    *r = (resolver){.n = 0};
}

/* Setting a key that the table has lost would allocate, and could raise an error. */
void resolve_forget(resolver *r, struct context *c) {
    lua_State *L = c->anchor;
    if (r->slot == 0) return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->weak_ref);
    lua_rawgeti(L, -1, r->slot);
    bool there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (there) {
        lua_pushnil(L);
        lua_rawseti(L, -2, r->slot);
    }
    lua_pop(L, 1);
    r->slot = 0;
    r->valid = false;
}

/* The name of a local, without its value; NULL past the last one. */
static const char *local_name(const resolve_frame *f, int index) {
    const char *name = lua_getlocal(f->L, f->frame, index);
    if (name == NULL) return NULL;
    lua_pop(f->L, 1);
    return strcmp(name, "(*temporary)") == 0 ? NULL : name; /* lj_debug.c, debug_localname */
}

/* Whether the function that the names were found in still lives: then the names' own memory is what it was. */
static bool function_lives(const resolver *r, const resolve_frame *f) {
    lua_rawgeti(f->L, LUA_REGISTRYINDEX, f->context->weak_ref);
    lua_rawgeti(f->L, -1, r->slot);
    bool lives = lua_isfunction(f->L, -1);
    lua_pop(f->L, 2);
    return lives;
}

static bool is_as_found(const resolver *r, const resolve_frame *f) {
    uint64_t site = f->context->engine->site;
    if (!r->valid || r->site != site) return false;
    if (site != 0) return true;
    if (!function_lives(r, f)) return false;
    if (r->named == 0 && (f->function == 0 || lua_topointer(f->L, f->function) != r->function)) return false;
    int first = r->named > 0 ? r->named : 1;
    for (int i = first; i <= r->active; i++) {
        const char *name = lua_getlocal(f->L, f->frame, i);
        if (name == NULL) return false;
        lua_pop(f->L, 1);
        if (name != r->seen[i - first]) return false;
    }
    return local_name(f, r->active + 1) == NULL;
}

static void find_locals(resolver *r, const resolve_frame *f) {
    const char *name;
    int i = 0;
    r->named = 0;
    while ((name = local_name(f, i + 1)) != NULL) {
        i++;
        if (*name == '(') continue;
        r->named = i;
        for (int k = 0; k < r->n; k++) {
            if (r->names[k].kind >= RESOLVE_RETURNS || strcmp(r->names[k].text, name) != 0) continue;
            r->names[k].kind = RESOLVE_LOCAL;
            r->names[k].index = i;
        }
    }
    r->active = i;
}

static void find_upvalues(resolver *r, const resolve_frame *f) {
    const char *name;
    for (int i = 1; (name = lua_getupvalue(f->L, f->function, i)) != NULL; i++) {
        lua_pop(f->L, 1);
        for (int k = 0; k < r->n; k++) {
            if (r->names[k].kind != RESOLVE_GLOBAL || strcmp(r->names[k].text, name) != 0) continue;
            r->names[k].kind = RESOLVE_UPVALUE;
            r->names[k].index = i;
        }
    }
}

/* Remember what is_as_found() compares with. */
static void remember(resolver *r, const resolve_frame *f) {
    int first = r->named > 0 ? r->named : 1;
    r->site = f->context->engine->site;
    r->valid = r->site != 0;
    if (r->valid || r->active - first > RESOLVE_HIDDEN_MAX) return;
    for (int i = first; i <= r->active; i++) r->seen[i - first] = local_name(f, i);
    lua_rawgeti(f->L, LUA_REGISTRYINDEX, f->context->weak_ref);
    if (r->slot == 0) r->slot = ++f->context->last_slot;
    lua_pushvalue(f->L, f->function);
    lua_rawseti(f->L, -2, r->slot);
    lua_pop(f->L, 1);
    r->function = lua_topointer(f->L, f->function);
    r->valid = true;
}

static void have_function(resolve_frame *f) {
    lua_Debug ar = *f->frame;
    if (f->function != 0) return;
    lua_getinfo(f->L, "f", &ar);
    f->function = lua_gettop(f->L);
}

void resolve_prepare(resolver *r, resolve_frame *f) {
    if (r->n == 0) return;
    if (r->returns) {
        lua_pushnil(f->L);
        f->returns = lua_gettop(f->L);
    }
    if (!r->valid || !r->only_locals || r->named == 0) have_function(f);
    if (is_as_found(r, f)) return;
    have_function(f);
    r->valid = false;
    for (int k = 0; k < r->n; k++) {
        if (r->names[k].kind < RESOLVE_RETURNS) r->names[k].kind = RESOLVE_GLOBAL;
    }
    find_locals(r, f);
    find_upvalues(r, f);
    r->only_locals = true;
    for (int k = 0; k < r->n; k++) {
        resolve_kind kind = r->names[k].kind;
        r->only_locals = r->only_locals && (kind == RESOLVE_LOCAL || kind >= RESOLVE_RETURNS);
    }
    remember(r, f);
}

/* The global `name` of the function's environment, following tables without running anything. */
static bool push_global(const resolve_frame *f, const char *name) {
    enum { CHAIN_MAX = 20 };
    lua_State *L = f->L;
    int top = lua_gettop(L);
    lua_getfenv(L, f->function);
    for (int i = 0; i < CHAIN_MAX && lua_istable(L, -1); i++) {
        int table = lua_gettop(L);
        lua_pushstring(L, name);
        lua_rawget(L, table);
        bool found = !lua_isnil(L, -1);
        if (!found && lua_getmetatable(L, table)) {
            lua_pushliteral(L, "__index");
            lua_rawget(L, -2);
            found = lua_isnil(L, -1); /* nil it is */
            lua_replace(L, table);
            lua_settop(L, table);
            if (!found) continue;
        }
        lua_replace(L, top + 1);
        lua_settop(L, top + 1);
        return true;
    }
    lua_settop(L, top);
    return false;
}

void resolve_push_returns(lua_State *L, struct context *c) {
    engine *e = c->engine;
    int n = e->leaving->n;
    lua_createtable(L, n, 1);
    for (int i = 1; i <= n; i++) {
        e->class->push_returns(e, L, i, 1);
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
}

bool resolve_is_known(const resolver *r, const context *c) {
    return r->valid && c->engine->site != 0 && r->site == c->engine->site;
}

bool resolve_push_local(const resolver *r, context *c, lua_State *L, int name) {
    engine *e = c->engine;
    const resolve_name *n = &r->names[name];
    switch (n->kind) {
    case RESOLVE_LOCAL: return e->class->push_locals != NULL && e->class->push_locals(e, L, n->index, 1);
    case RESOLVE_TAIL_CALL: lua_pushboolean(L, e->leaving->tail_call); return true;
    case RESOLVE_DURATION:
        if (e->leaving->timed)
            lua_pushnumber(L, engine_return_us(e->leaving));
        else
            lua_pushnil(L);
        return true;
    default: return false;
    }
}

bool resolve_push(const resolver *r, const resolve_frame *f, int name) {
    const resolve_name *n = &r->names[name];
    if (n->kind == RESOLVE_RETURNS) {
        if (lua_isnil(f->L, f->returns)) {
            resolve_push_returns(f->L, f->context);
            lua_replace(f->L, f->returns);
        }
        lua_pushvalue(f->L, f->returns);
        return true;
    }
    bool known = n->kind > RESOLVE_RETURNS || r->site != 0; /* else the engine may have no quick way to the locals */
    if (known && resolve_push_local(r, f->context, f->L, name)) return true;
    if (n->kind == RESOLVE_LOCAL) return lua_getlocal(f->L, f->frame, n->index) != NULL;
    if (n->kind == RESOLVE_UPVALUE) return lua_getupvalue(f->L, f->function, n->index) != NULL;
    return push_global(f, n->text);
}

static int index_value(lua_State *L) {
    lua_gettable(L, 1);
    return 1;
}

int resolve_call(const resolver *r, const resolve_frame *f, int name) {
    lua_pushcfunction(f->L, index_value);
    lua_getfenv(f->L, f->function);
    lua_pushstring(f->L, r->names[name].text);
    return lua_pcall(f->L, 2, 1, 0);
}
