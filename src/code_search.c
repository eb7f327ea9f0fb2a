#include "code_search.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "line_jit.h"
#include "raw_field.h"

enum { STEPS_MAX = 100000, STACK_LEVELS_MAX = 250 };

/* Stack slots of the search. */
enum { SEEN = 1, QUEUE, UTIL };

typedef struct search {
    lua_State *L;
    hook *const *hooks;
    size_t n;
    engine_place *places;
    int head, tail; /* of the queue: first entry, and one past the last */
    int steps;
} search;

/* Take the value on top of the stack; queue it if it can lead to functions and was not seen yet. */
static void enqueue(search *s) {
    lua_State *L = s->L;
    int type = lua_type(L, -1);
    s->steps++;
    if (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TUSERDATA && type != LUA_TTHREAD) {
        lua_pop(L, 1);
        return;
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, SEEN);
    bool seen = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (seen) {
        lua_pop(L, 1);
        return;
    }
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, SEEN);
    lua_rawseti(L, QUEUE, s->tail++);
}

/* ---- Functions ---- */

/* Note that a matching function has code on `line`. */
static void note_line(const hook *h, engine_place *place, int line, bool *on_line) {
    if (line <= 0) return;
    if (line == h->line) {
        *on_line = true;
    } else if (line < h->line) {
        if (line > place->line_before) place->line_before = line;
    } else if (place->line_after == 0 || line < place->line_after) {
        place->line_after = line;
    }
}

/* Whether any hook names the chunk. */
static bool wanted(const search *s, const char *source, size_t len) {
    for (size_t i = 0; i < s->n; i++)
        if (hooks_suffix(source, len, s->hooks[i]->file, s->hooks[i]->file_len)) return true;
    return false;
}

/* Enter the lines, the keys of the table on top of the stack, into the places of all hooks that name the chunk. */
static void enter_lines(search *s, const char *source, size_t len) {
    lua_State *L = s->L;
    for (size_t i = 0; i < s->n; i++) {
        const hook *h = s->hooks[i];
        if (!hooks_suffix(source, len, h->file, h->file_len)) continue;
        bool on_line = false;
        s->places[i].file_known = true;
        lua_pushnil(L);
        while (lua_next(L, -2) != 0) {
            note_line(h, &s->places[i], (int)lua_tointeger(L, -2), &on_line);
            lua_pop(L, 1);
        }
        if (on_line) s->places[i].places++;
    }
}

/* Call util[name](value at `index`, n), leaving one result; nil where there is no such function or it fails. */
static void call_util(lua_State *L, const char *name, int index, int n) {
    if (!lua_istable(L, UTIL)) {
        lua_pushnil(L);
        return;
    }
    lua_pushstring(L, name);
    lua_rawget(L, UTIL);
    lua_pushvalue(L, index);
    lua_pushinteger(L, n);
    if (lua_pcall(L, 2, 1, 0) != 0) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

static int field_integer(lua_State *L, int table, const char *name) {
    lua_pushstring(L, name);
    lua_rawget(L, table);
    int value = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void examine_nested(search *s, int index, const char *source, size_t len);

/* Look at the prototype on top of the stack, a function that has been compiled but need not exist yet. */
static void examine_proto(search *s, const char *source, size_t len) {
    lua_State *L = s->L;
    int proto = lua_gettop(L);
    luaL_checkstack(L, 12, "functions nested too deep");
    lua_pushvalue(L, proto);
    lua_rawget(L, SEEN);
    bool seen = !lua_isnil(L, -1);
    lua_settop(L, proto);
    if (seen) return;
    lua_pushvalue(L, proto);
    lua_pushboolean(L, 1);
    lua_rawset(L, SEEN);
    call_util(L, "funcinfo", proto, 0);
    if (!lua_istable(L, -1)) return;
    int size = field_integer(L, proto + 1, "bytecodes");
    lua_newtable(L);
    for (int pc = 1; pc < size; pc++, s->steps++) {
        call_util(L, "funcinfo", proto, pc);
        if (!lua_istable(L, -1)) break;
        int line = field_integer(L, lua_gettop(L), "currentline");
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
        lua_rawseti(L, -2, line);
    }
    lua_settop(L, proto + 2);
    enter_lines(s, source, len);
    lua_settop(L, proto);
    examine_nested(s, proto, source, len);
}

/* The prototypes among the constants of the function or prototype at `index` (jit.util.funck: negative numbers). */
static void examine_nested(search *s, int index, const char *source, size_t len) {
    lua_State *L = s->L;
    for (int i = -1;; i--) {
        call_util(L, "funck", index, i);
        int type = lua_type(L, -1);
        if (type == LUA_TNIL || type == LUA_TNONE) {
            lua_pop(L, 1);
            return;
        }
        if (strcmp(lua_typename(L, type), "proto") == 0) examine_proto(s, source, len);
        lua_pop(L, 1);
    }
}

/* Whether this is the first closure of its function; closures are told apart by prototype where jit.util shows it, else
 * by chunk and lines. */
static bool first_of_its_kind(search *s, int index, const lua_Debug *ar) {
    lua_State *L = s->L;
    call_util(L, "funcinfo", index, 0);
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "proto");
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushfstring(L, "%p:%d:%d", ar->source, ar->linedefined, ar->lastlinedefined);
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, SEEN);
    bool first = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (first) {
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, SEEN);
    }
    lua_pop(L, 1);
    return first;
}

static void examine_function(search *s, int index) {
    lua_State *L = s->L;
    lua_Debug ar;
    if (lua_iscfunction(L, index)) return;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &ar);
    size_t len = strlen(ar.source);
    if (!wanted(s, ar.source, len)) return;
    if (!first_of_its_kind(s, index, &ar)) return;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">L", &ar);
    if (lua_istable(L, -1)) enter_lines(s, ar.source, len);
    lua_pop(L, 1);
    examine_nested(s, index, ar.source, len);
}

/* ---- The walk ---- */

static void walk_table(search *s, int index) {
    lua_State *L = s->L;
    if (lua_getmetatable(L, index)) enqueue(s);
    lua_pushnil(L);
    while (s->steps < STEPS_MAX && lua_next(L, index) != 0) {
        enqueue(s);
        lua_pushvalue(L, -1);
        enqueue(s);
    }
    lua_settop(L, index);
}

static void walk_function(search *s, int index) {
    lua_State *L = s->L;
    examine_function(s, index);
    for (int i = 1; lua_getupvalue(L, index, i) != NULL; i++) enqueue(s);
    lua_getfenv(L, index);
    enqueue(s);
}

/* What the frames of a coroutine hold. Only of those that do not run: their stacks stand still. */
static void walk_thread(search *s, lua_State *of) {
    lua_State *L = s->L;
    lua_Debug ar;
    for (int level = 0; level < STACK_LEVELS_MAX && lua_getstack(of, level, &ar); level++) {
        if (!lua_checkstack(of, 2)) return;
        lua_getinfo(of, "f", &ar);
        lua_xmove(of, L, 1);
        enqueue(s);
        if (of == L) continue;
        for (int i = 1; lua_getlocal(of, &ar, i) != NULL; i++) {
            lua_xmove(of, L, 1);
            enqueue(s);
        }
    }
}

static void walk(search *s) {
    lua_State *L = s->L;
    while (s->head < s->tail && s->steps < STEPS_MAX) {
        lua_rawgeti(L, QUEUE, s->head);
        int at = lua_gettop(L);
        lua_pushnil(L);
        lua_rawseti(L, QUEUE, s->head++);
        switch (lua_type(L, at)) {
        case LUA_TTABLE: walk_table(s, at); break;
        case LUA_TFUNCTION: walk_function(s, at); break;
        case LUA_TTHREAD:
            if (lua_tothread(L, at) != L) walk_thread(s, lua_tothread(L, at));
            break;
        default: /* userdata */
            if (lua_getmetatable(L, at)) enqueue(s);
            lua_getfenv(L, at);
            enqueue(s);
            break;
        }
        lua_settop(L, at - 1);
    }
}

void code_search(lua_State *L, hook *const *hooks, size_t n, engine_place *places) {
    search s = {.L = L, .hooks = hooks, .n = n, .places = places, .head = 1, .tail = 1};
    memset(places, 0, n * sizeof *places);
    lua_settop(L, 0);
    luaL_checkstack(L, 24, "no room for a search");
    lua_newtable(L);
    lua_newtable(L);
    line_jit_push_util(L);
    walk_thread(&s, L);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    enqueue(&s);
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    raw_field(L, "_LOADED");
    enqueue(&s);
    walk(&s);
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    enqueue(&s);
    walk(&s);
    lua_settop(L, 0);
}
