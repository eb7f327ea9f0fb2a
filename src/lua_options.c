#include "lua_options.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ljinspect.h"
#include "nearest_name.h"

/* A table of the arguments and what it is called in messages: "" or "capture.". */
typedef struct fields {
    lua_State *L;
    int table;
    const char *prefix;
    const char *const *names; /* known ones */
    int n_names;
} fields;

static int wrong(const fields *f, const char *name, const char *what) {
    return luaL_argerror(f->L, 1, lua_pushfstring(f->L, "%s%s: %s", f->prefix, name, what));
}

/* Push the field `name`; its type. */
static int push_field(const fields *f, const char *name) {
    lua_pushstring(f->L, name);
    lua_rawget(f->L, f->table);
    return lua_type(f->L, -1);
}

/* Push the field and return true, or return false where there is none; an error where it is of another type. */
static bool take(const fields *f, const char *name, int type) {
    int is = push_field(f, name);
    if (is == LUA_TNIL) {
        lua_pop(f->L, 1);
        return false;
    }
    if (is != type)
        wrong(f, name, lua_pushfstring(f->L, "%s expected, got %s", lua_typename(f->L, type), lua_typename(f->L, is)));
    return true;
}

/* A string that lives as long as the table holds it; NULL for none. */
static const char *take_string(const fields *f, const char *name) {
    size_t len;
    if (!take(f, name, LUA_TSTRING)) return NULL;
    const char *s = lua_tolstring(f->L, -1, &len);
    lua_pop(f->L, 1);
    if (strlen(s) != len) wrong(f, name, "contains a NUL byte");
    return s;
}

static bool has(const fields *f, const char *name) {
    bool there = push_field(f, name) != LUA_TNIL;
    lua_pop(f->L, 1);
    return there;
}

static double take_number(const fields *f, const char *name, double usual) {
    if (!take(f, name, LUA_TNUMBER)) return usual;
    double n = lua_tonumber(f->L, -1);
    lua_pop(f->L, 1);
    return n;
}

static double take_integer(const fields *f, const char *name, double usual, double least, double most) {
    if (!has(f, name)) return usual;
    double n = take_number(f, name, usual);
    if (!(n >= least && n <= most) || n != floor(n))
        wrong(f, name,
              lua_pushfstring(f->L, "a whole number from %f to %f expected", (lua_Number)least, (lua_Number)most));
    return n;
}

/* A number that is not 0: there the C structure means something else by it. */
static double take_above_0(const fields *f, const char *name, double usual) {
    if (!has(f, name)) return usual;
    double n = take_number(f, name, usual);
    if (!(n > 0)) wrong(f, name, "a number above 0 expected");
    return n;
}

static bool take_boolean(const fields *f, const char *name) {
    if (!take(f, name, LUA_TBOOLEAN)) return false;
    bool yes = lua_toboolean(f->L, -1);
    lua_pop(f->L, 1);
    return yes;
}

/* The stack index of a function, which stays there; 0 for none. */
static int take_function(const fields *f, const char *name) {
    return take(f, name, LUA_TFUNCTION) ? lua_gettop(f->L) : 0;
}

static void check_names(const fields *f) {
    lua_State *L = f->L;
    lua_pushnil(L);
    while (lua_next(L, f->table) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            luaL_argerror(L, 1,
                          lua_pushfstring(L, "%sfield names expected, got a %s", f->prefix, luaL_typename(L, -1)));
        }
        const char *name = lua_tostring(L, -1);
        bool known = false;
        for (int i = 0; i < f->n_names; i++) known = known || strcmp(f->names[i], name) == 0;
        if (known) continue;
        const char *near = nearest_name(name, f->names, f->n_names);
        if (near != NULL)
            lua_pushfstring(L, "unknown field '%s%s' (did you mean '%s'?)", f->prefix, name, near);
        else
            lua_pushfstring(L, "unknown field '%s%s'", f->prefix, name);
        luaL_argerror(L, 1, lua_tostring(L, -1));
    }
}

/* ---- capture ---- */

/* The words of capture.mask as an array that ends with NULL, which the Lua stack keeps. */
static const char *const *take_masks(const fields *f) {
    lua_State *L = f->L;
    if (!take(f, "mask", LUA_TTABLE)) return NULL;
    int words = lua_gettop(L), n = (int)lua_objlen(L, words);
    if (n > 1000) wrong(f, "mask", "more than 1000 words");
    const char **list = lua_newuserdata(L, ((size_t)n + 1) * sizeof *list);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, words, i + 1);
        if (lua_type(L, -1) != LUA_TSTRING) wrong(f, "mask", "a list of strings expected");
        list[i] = lua_tostring(L, -1);
        lua_pop(L, 1); /* the list keeps it */
    }
    list[n] = NULL;
    return list;
}

static unsigned take_format(const fields *f) {
    const char *format = take_string(f, "format");
    if (format == NULL || strcmp(format, "text") == 0) return 0;
    if (strcmp(format, "json") != 0) wrong(f, "format", "'text' or 'json' expected");
    return LJINSPECT_CAPTURE_JSON;
}

/* Read the field `capture`, of a hook on returns or another: true, or a table. False where there is none. */
static bool take_capture(const fields *outer, bool returns, ljinspect_capture *capture) {
    static const char *const names[] = {"locals", "upvalues", "varargs", "stack",  "stack_locals", "depth",  "entries",
                                        "string", "bytes",    "mask",    "format", "tostring",     "returns"};
    lua_State *L = outer->L;
    int type = push_field(outer, "capture");
    *capture = (ljinspect_capture){.what = LJINSPECT_CAPTURE_LOCALS | LJINSPECT_CAPTURE_UPVALUES |
                                           LJINSPECT_CAPTURE_VARARGS | (returns ? LJINSPECT_CAPTURE_RETURNS : 0u)};
    if (type == LUA_TNIL) return false;
    if (type == LUA_TBOOLEAN) return lua_toboolean(L, -1);
    if (type != LUA_TTABLE)
        wrong(outer, "capture", lua_pushfstring(L, "table or true expected, got %s", lua_typename(L, type)));
    const fields f = {.L = L,
                      .table = lua_gettop(L),
                      .prefix = "capture.",
                      .names = names,
                      .n_names = sizeof names / sizeof names[0]};
    check_names(&f);
    capture->what = (take_boolean(&f, "locals") ? LJINSPECT_CAPTURE_LOCALS : 0u) |
                    (take_boolean(&f, "upvalues") ? LJINSPECT_CAPTURE_UPVALUES : 0u) |
                    (take_boolean(&f, "varargs") ? LJINSPECT_CAPTURE_VARARGS : 0u) |
                    (take_boolean(&f, "returns") ? LJINSPECT_CAPTURE_RETURNS : 0u) |
                    (take_boolean(&f, "tostring") ? LJINSPECT_CAPTURE_TOSTRING : 0u) | take_format(&f);
    capture->stack = (int)take_integer(&f, "stack", 0, 0, 200);
    capture->stack_locals = (int)take_integer(&f, "stack_locals", 0, 0, 200);
    capture->depth = (int)take_integer(&f, "depth", 3, 1, 20);
    capture->entries = (int)take_integer(&f, "entries", 20, 1, 1000);
    capture->string = (int)take_integer(&f, "string", 200, 1, 65536);
    capture->bytes = (int)take_integer(&f, "bytes", 16384, 1, 1048576);
    capture->masks = take_masks(&f);
    return true;
}

/* ---- The table ---- */

static enum ljinspect_level take_level(const fields *f) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    const char *level = take_string(f, "level");
    if (level == NULL) return LJINSPECT_INFO;
    for (int i = 0; i < 4; i++) {
        if (strcmp(level, names[i]) == 0) return (enum ljinspect_level)i;
    }
    wrong(f, "level", lua_pushfstring(f->L, "debug, info, warn or error expected, got '%s'", level));
    return LJINSPECT_INFO;
}

/* "log", an absolute path, or a function. */
static void take_sink(const fields *f, ljinspect_hook_options *o) {
    int type = push_field(f, "sink");
    lua_pop(f->L, 1);
    if (type == LUA_TNIL) return;
    if (type == LUA_TFUNCTION) {
        o->sink_func = take_function(f, "sink");
    } else if (type == LUA_TSTRING) {
        const char *sink = take_string(f, "sink");
        if (strcmp(sink, "log") == 0) return;
        if (*sink != '/') wrong(f, "sink", "'log', an absolute path or a function expected");
        o->sink_file = sink;
    } else {
        wrong(f, "sink", lua_pushfstring(f->L, "string or function expected, got %s", lua_typename(f->L, type)));
    }
}

/* A function, or the name of one. */
static void take_func(const fields *f, ljinspect_hook_options *o) {
    int type = push_field(f, "func");
    lua_pop(f->L, 1);
    if (type == LUA_TSTRING)
        o->function = take_string(f, "func");
    else if (type == LUA_TFUNCTION)
        o->func = take_function(f, "func");
    else if (type != LUA_TNIL)
        wrong(f, "func", lua_pushfstring(f->L, "function or string expected, got %s", lua_typename(f->L, type)));
}

/* "entry" or "return", of a function alone. */
static int take_at(const fields *f, bool function) {
    const char *at = take_string(f, "at");
    if (at == NULL) return LJINSPECT_AT_ENTRY;
    if (strcmp(at, "entry") != 0 && strcmp(at, "return") != 0)
        wrong(f, "at", lua_pushfstring(f->L, "'entry' or 'return' expected, got '%s'", at));
    if (!function) wrong(f, "at", "of a function alone: give func, without line");
    return *at == 'e' ? LJINSPECT_AT_ENTRY : LJINSPECT_AT_RETURN;
}

static int finish(lua_State *L, int64_t id, const char *why) {
    int reason = errno;
    if (id == LJINSPECT_ERR_ARGUMENT) return luaL_argerror(L, 1, why);
    if (id > 0) {
        lua_pushnumber(L, (lua_Number)id);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, *why != '\0' ? why : strerror(reason));
    return 2;
}

int lua_options_set_hook(lua_State *L) {
    static const char *const names[] = {"file",   "line",   "func",       "condition", "log",     "capture", "at",
                                        "filter", "hits",   "per_second", "expires",   "sample",  "level",   "tag",
                                        "sink",   "budget", "count",      "histogram", "interval"};
    char why[512];
    ljinspect_hook_options o;
    ljinspect_capture capture;
    lua_settop(L, 1);
    luaL_checkstack(L, 20, "no room for the options of a hook");
    const fields f = {.L = L, .table = 1, .prefix = "", .names = names, .n_names = sizeof names / sizeof names[0]};
    check_names(&f);
    (void)ljinspect_hook_options_init(&o, sizeof o);
    o.file = take_string(&f, "file");
    o.line = (int)take_integer(&f, "line", 0, 1, 16777215);
    take_func(&f, &o);
    if (o.line == 0 && o.func == 0 && o.function == NULL) wrong(&f, "line", "number expected, got nil");
    o.condition = take_string(&f, "condition");
    o.log = take_string(&f, "log");
    o.at = take_at(&f, o.line == 0);
    if (take_capture(&f, o.at == LJINSPECT_AT_RETURN, &capture)) o.capture = &capture;
    o.hits = (int64_t)take_integer(&f, "hits", 0, 1, 9007199254740992.0);
    o.per_second = take_above_0(&f, "per_second", 0);
    o.expires = take_above_0(&f, "expires", 0);
    o.sample = take_above_0(&f, "sample", 1);
    o.level = take_level(&f);
    o.tag = take_string(&f, "tag");
    o.budget = take_number(&f, "budget", o.budget);
    o.count = take_boolean(&f, "count");
    o.histogram = take_string(&f, "histogram");
    o.interval = take_above_0(&f, "interval", o.interval);
    take_sink(&f, &o);
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_LUA, .index = take_function(&f, "filter")};
    if (filter.index != 0) o.filter = &filter;
    int64_t id = ljinspect_set_hook_with(L, &o, why, sizeof why);
    if (id == LJINSPECT_ERR_ENGINE && o.at == LJINSPECT_AT_RETURN) return luaL_argerror(L, 1, why);
    return finish(L, id, why);
}

int lua_options_limits(lua_State *L) {
    static const char *const names[] = {"budget", "filter_ms", "plain_filter_ms"};
    ljinspect_limits limits = {.size = sizeof limits};
    const fields f = {.L = L, .table = 1, .prefix = "", .names = names, .n_names = sizeof names / sizeof names[0]};
    if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int code = ljinspect_get_limits(L, &limits);
    if (code == 0 && lua_istable(L, 1)) {
        check_names(&f);
        limits.budget = take_number(&f, "budget", limits.budget);
        limits.filter_ms = take_number(&f, "filter_ms", limits.filter_ms);
        limits.plain_filter_ms = take_number(&f, "plain_filter_ms", limits.plain_filter_ms);
        if (!(limits.budget >= 0 && limits.budget <= 1)) wrong(&f, "budget", "0 to 1 expected");
        if (!(limits.filter_ms >= 0 && limits.filter_ms <= 60000)) wrong(&f, "filter_ms", "0 to 60000 expected");
        if (!(limits.plain_filter_ms >= 0 && limits.plain_filter_ms <= 60000))
            wrong(&f, "plain_filter_ms", "0 to 60000 expected");
        code = ljinspect_set_limits(L, &limits);
    }
    if (code != 0) {
        lua_pushnil(L);
        lua_pushstring(L, ljinspect_strerror(code));
        return 2;
    }
    lua_createtable(L, 0, 3);
    lua_pushnumber(L, limits.budget);
    lua_setfield(L, -2, "budget");
    lua_pushnumber(L, limits.filter_ms);
    lua_setfield(L, -2, "filter_ms");
    lua_pushnumber(L, limits.plain_filter_ms);
    lua_setfield(L, -2, "plain_filter_ms");
    return 1;
}
