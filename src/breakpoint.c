#include "breakpoint.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooks.h"

enum {
    TEXT_MAX = 16 * 1024, /* what one hit prints at most */
    NAMES_MAX = 60,       /* locals, upvalues and varargs, each */
    STRING_MAX = 200,     /* characters of a string */
    FIELDS_MAX = 8        /* fields of a table; tables in it are named only */
};

/* One FILE:LINE in this process. VMs come and go, threads have one each; this is what counts hits across them. Never
 * freed: there are as many as the user has named. */
typedef struct breakpoint {
    struct breakpoint *next;
    char *file;
    int line;
    unsigned limit; /* 0: none */
    atomic_uint hits;
    atomic_bool looked;    /* whether its line has code, when its file was loaded */
    atomic_bool explained; /* that it has none */
} breakpoint;

static _Atomic(breakpoint *) all; /* grows at its head. No lock: another thread may fork at any time */

/* ---- Text: what does not fit is cut ---- */

typedef struct text {
    char bytes[TEXT_MAX];
    size_t len;
    bool cut;
} text;

static void add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(text *t, const char *format, ...) {
    size_t room = sizeof t->bytes - t->len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->bytes + t->len, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < room)
        t->len += (size_t)n;
    else
        t->cut = true;
}

/* Control characters are escaped, so that a value forges no line and drives no terminal. */
static void add_escaped(text *t, const char *s, size_t len, bool quoted) {
    for (size_t i = 0; i < len && i < STRING_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\n')
            add(t, "\\n");
        else if (quoted && (c == '"' || c == '\\'))
            add(t, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            add(t, "\\x%02x", (unsigned)c);
        else
            add(t, "%c", c);
    }
}

/* A chunk's name is whatever the program has given it. */
static void add_name(text *t, const char *name) {
    add_escaped(t, name, strlen(name), false);
}

/* ---- Values, without metamethods ---- */

static void add_function(text *t, lua_State *L, int index) {
    lua_Debug ar;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &ar);
    if (strcmp(ar.what, "C") == 0) {
        add(t, "function (C)");
        return;
    }
    add(t, "function ");
    add_name(t, ar.short_src);
    add(t, ":%d", ar.linedefined);
}

static void add_value(text *t, lua_State *L, int index, bool inner);

/* Its first fields in the order of lua_next. */
static void add_table(text *t, lua_State *L, int index) {
    int n = 0;
    add(t, "{");
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        int value = lua_gettop(L), key = value - 1;
        if (n > 0) add(t, ", ");
        if (n++ == FIELDS_MAX) {
            add(t, "...");
            lua_pop(L, 2);
            break;
        }
        if (lua_type(L, key) == LUA_TSTRING) {
            size_t len;
            const char *name = lua_tolstring(L, key, &len);
            add_escaped(t, name, len, false);
            add(t, " = ");
        } else if (lua_type(L, key) != LUA_TNUMBER || lua_tonumber(L, key) != n) {
            add(t, "[");
            add_value(t, L, key, true);
            add(t, "] = ");
        }
        add_value(t, L, value, true);
    }
    add(t, "}");
}

/* The value at the absolute index; `inner`: a field of a table. */
static void add_value(text *t, lua_State *L, int index, bool inner) {
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TNIL: add(t, "nil"); break;
    case LUA_TBOOLEAN: add(t, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER: add(t, LUA_NUMBER_FMT, lua_tonumber(L, index)); break;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        add(t, "\"");
        add_escaped(t, s, len, true);
        add(t, "\"");
        if (len > STRING_MAX) add(t, "... (%zu bytes)", len);
        break;
    case LUA_TFUNCTION: add_function(t, L, index); break;
    case LUA_TTABLE:
        if (!inner) {
            add_table(t, L, index);
            break;
        }
        /* fall through */
    default: add(t, "%s: %p", luaL_typename(L, index), lua_topointer(L, index));
    }
}

/* The value on top of L, which is popped. */
static void add_named(text *t, lua_State *L, const char *name) {
    add(t, "    %s = ", name);
    add_value(t, L, lua_gettop(L), false);
    add(t, "\n");
    lua_pop(L, 1);
}

/* ---- A hit ---- */

static void add_locals(text *t, ljinspect_hit *hit) {
    lua_State *L = ljinspect_hit_state(hit);
    const char *name;
    for (int i = 1; i <= NAMES_MAX && (name = ljinspect_hit_local_at(hit, i)) != NULL; i++) {
        if (name[0] != '(')
            add_named(t, L, name);
        else
            lua_pop(L, 1);
    }
    for (int i = 1; i <= NAMES_MAX && ljinspect_hit_vararg(hit, i); i++) {
        char vararg[32];
        snprintf(vararg, sizeof vararg, "... (%d)", i);
        add_named(t, L, vararg);
    }
}

static void add_upvalues(text *t, ljinspect_hit *hit) {
    lua_State *L = ljinspect_hit_state(hit);
    const char *name;
    for (int i = 1; i <= NAMES_MAX && (name = ljinspect_hit_upvalue_at(hit, i)) != NULL; i++) {
        if (name[0] != '(' && name[0] != '\0' && !lua_isfunction(L, -1)) {
            char upvalue[128];
            snprintf(upvalue, sizeof upvalue, "%s (upvalue)", name);
            add_named(t, L, upvalue);
        } else {
            lua_pop(L, 1);
        }
    }
}

static void add_stack(text *t, lua_State *L) {
    luaL_traceback(L, L, NULL, 1); /* level 0 is the filter */
    const char *line = lua_tostring(L, -1);
    for (const char *end; line != NULL && *line != '\0'; line = *end != '\0' ? end + 1 : end) {
        end = strchr(line, '\n');
        if (end == NULL) end = line + strlen(line);
        add(t, "    ");
        if (*line == '\t') add(t, "  "), line++;
        add_escaped(t, line, (size_t)(end - line), false);
        add(t, "\n");
    }
    lua_pop(L, 1);
}

static int show(ljinspect_hit *hit, void *userdata) {
    breakpoint *b = userdata;
    lua_State *L = ljinspect_hit_state(hit);
    lua_Debug ar;
    char name[LUA_IDSIZE + 256] = "?";
    unsigned hits = atomic_fetch_add(&b->hits, 1) + 1;
    if (b->limit != 0 && hits > b->limit) return LJINSPECT_REMOVE; /* another VM had the last one */
    bool last = hits == b->limit;

    text *t = lua_newuserdata(L, sizeof *t);
    t->len = 0;
    t->cut = false;
    if (ljinspect_hit_frame(hit, "nSl", &ar)) ljinspect_getname(L, &ar, name, sizeof name);
    add(t, "ljinspect: breakpoint %s:%d, hit %u: ", b->file, b->line, hits);
    add_name(t, name);
    add(t, "\n");
    add_locals(t, hit);
    add_upvalues(t, hit);
    add_stack(t, L);
    if (t->cut) fputs("ljinspect: the following is cut, it is too long\n", stderr);
    fwrite(t->bytes, 1, t->len, stderr);
    if (last)
        fprintf(stderr, "ljinspect: breakpoint %s:%d removed after %u hit%s\n", b->file, b->line, hits,
                hits == 1 ? "" : "s");
    fflush(stderr);
    return last ? LJINSPECT_REMOVE : LJINSPECT_KEEP;
}

/* ---- Setting ---- */

static breakpoint *search(breakpoint *from, const breakpoint *to, const char *file, int line) {
    for (breakpoint *b = from; b != to; b = b->next)
        if (b->line == line && strcmp(b->file, file) == 0) return b;
    return NULL;
}

/* The process's counter for (file, line), made if there is none. NULL: no memory. */
static breakpoint *find_or_make(const char *file, int line, unsigned limit) {
    breakpoint *first = atomic_load(&all), *b = search(first, NULL, file, line);
    if (b != NULL || (b = calloc(1, sizeof *b)) == NULL) return b;
    b->file = strdup(file);
    b->line = line;
    b->limit = limit;
    b->next = first;
    breakpoint *same = NULL;
    while (b->file != NULL && same == NULL) {
        if (atomic_compare_exchange_strong(&all, &b->next, b)) return b;
        same = search(b->next, first, file, line); /* another thread was faster, perhaps with the same */
    }
    free(b->file);
    free(b);
    return same;
}

int breakpoint_set(lua_State *L, const char *file, int line, int hits) {
    breakpoint *b = find_or_make(file, line, (unsigned)hits);
    if (b == NULL) return LJINSPECT_ERR_NOMEM;
    if (b->limit != 0 && atomic_load(&b->hits) >= b->limit) return 0; /* all were shown */
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = show, .userdata = b, .lasting = 1};
    int64_t id = ljinspect_set_hook(L, file, line, 0, &filter);
    return id < 0 ? (int)id : 0;
}

/* ---- Breakpoints on lines without code ---- */

/* Registry: explain_function(); the function it is about; what notices the end of the VM. */
enum { EXPLAIN_KEY = -0x6c6a6912, LOADED_KEY = -0x6c6a6913, END_KEY = -0x6c6a6914 };

static int explain(const ljinspect_hook_info *info, void *unused) {
    breakpoint *b = search(atomic_load(&all), NULL, info->file, info->line);
    char nearest[64] = "";
    (void)unused;
    if (info->state != LJINSPECT_NO_CODE || b == NULL || atomic_exchange(&b->explained, true)) return 0;
    if (info->line_before != 0 && info->line_after != 0)
        snprintf(nearest, sizeof nearest, "; the nearest are %d and %d", info->line_before, info->line_after);
    else if (info->line_before != 0 || info->line_after != 0)
        snprintf(nearest, sizeof nearest, "; the nearest is %d", info->line_before + info->line_after);
    fprintf(stderr, "ljinspect: breakpoint %s:%d: there is no code on that line%s\n", b->file, b->line, nearest);
    return 0;
}

/* The argument is a function that was just loaded. Engines that walk what can be reached find it in the registry. */
static int explain_function(lua_State *L) {
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LOADED_KEY);
    ljinspect_hooks(L, explain, NULL);
    lua_pushnil(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LOADED_KEY);
    return 0;
}

static int explain_at_end(lua_State *L) {
    ljinspect_hooks(L, explain, NULL);
    return 0;
}

void breakpoint_open(lua_State *L) {
    lua_pushcfunction(L, explain_function);
    lua_rawseti(L, LUA_REGISTRYINDEX, EXPLAIN_KEY);
    /* Finalized before the context, which is older. */
    lua_newuserdata(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "__gc");
    lua_pushcfunction(L, explain_at_end);
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, END_KEY);
}

void breakpoint_loaded(lua_State *L) {
    lua_Debug ar = {.source = NULL};
    for (breakpoint *b = atomic_load(&all); b != NULL; b = b->next) {
        if (atomic_load(&b->hits) > 0 || atomic_load(&b->looked)) continue;
        if (ar.source == NULL) {
            if (lua_gettop(L) == 0 || !lua_isfunction(L, -1) || lua_iscfunction(L, -1)) return;
            lua_pushvalue(L, -1);
            lua_getinfo(L, ">S", &ar);
        }
        if (!hooks_suffix(ar.source, strlen(ar.source), b->file, strlen(b->file))) continue;
        if (!lua_checkstack(L, 2) || atomic_exchange(&b->looked, true)) continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, EXPLAIN_KEY);
        lua_pushvalue(L, -2);
        if (lua_pcall(L, 1, 0, 0) != 0) lua_pop(L, 1);
    }
}
