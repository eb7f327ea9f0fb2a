#include "breakpoint.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "hooks.h"
#include "pipe_guard.h"
#include "render.h"

enum { NAMES_MAX = 60 }; /* locals, upvalues and varargs, each */

/* Tables in tables are named only. */
static const render_limits limits = {.depth = 1, .entries = 8, .string = 200, .bytes = 16 * 1024};

/* One FILE:LINE in this process. VMs come and go, threads have one each; this is what counts hits across them. Never
 * freed: there are as many as the user has named. */
typedef struct breakpoint {
    struct breakpoint *next;
    char *file;
    int line;
    unsigned limit; /* 0: none */
    mask_list masks;
    atomic_uint hits;
    atomic_bool looked;    /* whether its line has code, when its file was loaded */
    atomic_bool explained; /* that it has none */
} breakpoint;

static _Atomic(breakpoint *) all; /* grows at its head. No lock: another thread may fork at any time */

/* ---- A hit: names of the program's are put on one line, so that none forges another ---- */

/* The value on top of the stack, which is popped, as one line. */
static void put_value(render *r, const char *name, const char *what) {
    out_text(r->out, "    ");
    out_word(r->out, name);
    out_text(r->out, what);
    out_text(r->out, " = ");
    render_value(r, -1, name);
    out_char(r->out, '\n');
    lua_pop(r->L, 1);
}

static void put_locals(render *r, ljinspect_hit *hit) {
    const char *name;
    for (int i = 1; i <= NAMES_MAX && (name = ljinspect_hit_local_at(hit, i)) != NULL; i++) {
        if (name[0] != '(')
            put_value(r, name, "");
        else
            lua_pop(r->L, 1);
    }
    for (int i = 1; i <= NAMES_MAX && ljinspect_hit_vararg(hit, i); i++) {
        char vararg[32];
        snprintf(vararg, sizeof vararg, "... (%d)", i);
        put_value(r, vararg, "");
    }
}

static void put_upvalues(render *r, ljinspect_hit *hit) {
    const char *name;
    for (int i = 1; i <= NAMES_MAX && (name = ljinspect_hit_upvalue_at(hit, i)) != NULL; i++) {
        if (name[0] != '(' && name[0] != '\0' && !lua_isfunction(r->L, -1))
            put_value(r, name, " (upvalue)");
        else
            lua_pop(r->L, 1);
    }
}

static void put_stack(outbuf *o, lua_State *L) {
    luaL_traceback(L, L, NULL, 1); /* level 0 is the filter */
    const char *line = lua_tostring(L, -1);
    for (const char *end; line != NULL && *line != '\0'; line = *end != '\0' ? end + 1 : end) {
        end = strchr(line, '\n');
        if (end == NULL) end = line + strlen(line);
        out_text(o, "    ");
        if (*line == '\t') out_text(o, "  "), line++;
        out_line(o, line, (size_t)(end - line));
        out_char(o, '\n');
    }
    lua_pop(L, 1);
}

static int show(ljinspect_hit *hit, void *userdata) {
    breakpoint *b = userdata;
    lua_State *L = ljinspect_hit_state(hit);
    lua_Debug ar;
    char name[LUA_IDSIZE + 256] = "?", head[64];
    unsigned hits = atomic_fetch_add(&b->hits, 1) + 1;
    if (b->limit != 0 && hits > b->limit) return LJINSPECT_REMOVE; /* another VM had the last one */
    bool last = hits == b->limit;

    outbuf *o = &context_at(L)->line; /* no line of a hook in table form is on its way now */
    render r = {.L = L, .out = o, .limits = &limits, .masks = &b->masks};
    out_clear(o);
    out_text(o, "ljinspect: breakpoint ");
    out_word(o, b->file);
    snprintf(head, sizeof head, ":%d, hit %u: ", b->line, hits);
    out_text(o, head);
    if (ljinspect_hit_frame(hit, "nSl", &ar)) ljinspect_getname(L, &ar, name, sizeof name);
    out_word(o, name);
    out_char(o, '\n');
    put_locals(&r, hit);
    put_upvalues(&r, hit);
    put_stack(o, L);
    pipe_guard guard;
    pipe_guard_begin(&guard);
    if (o->failed)
        fprintf(stderr, "ljinspect: breakpoint %s:%d, hit %u: no memory to show it\n", b->file, b->line, hits);
    else
        fwrite(o->data, 1, o->len, stderr);
    if (last)
        fprintf(stderr, "ljinspect: breakpoint %s:%d removed after %u hit%s\n", b->file, b->line, hits,
                hits == 1 ? "" : "s");
    fflush(stderr);
    pipe_guard_end(&guard);
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
    bool made = b->file != NULL && mask_init(&b->masks);
    while (made && same == NULL) {
        if (atomic_compare_exchange_strong(&all, &b->next, b)) return b;
        same = search(b->next, first, file, line); /* another thread was faster, perhaps with the same */
    }
    if (made) mask_free(&b->masks);
    free(b->file);
    free(b);
    return same;
}

int64_t breakpoint_set(lua_State *L, const char *file, int line, int hits) {
    breakpoint *b = find_or_make(file, line, (unsigned)hits);
    if (b == NULL) return LJINSPECT_ERR_NOMEM;
    if (b->limit != 0 && atomic_load(&b->hits) >= b->limit) return 0; /* all were shown */
    const ljinspect_filter shows = {.kind = LJINSPECT_FILTER_C, .call = show, .userdata = b, .lasting = 1};
    return ljinspect_set_hook(L, file, line, 0, &shows);
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
    pipe_guard guard;
    pipe_guard_begin(&guard);
    fprintf(stderr, "ljinspect: breakpoint %s:%d: there is no code on that line%s\n", b->file, b->line, nearest);
    pipe_guard_end(&guard);
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
