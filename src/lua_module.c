/* require "ljinspect": argument checking and tables only, all else through the public API. */
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ljinspect.h"
#include "lua_options.h"

/* Return nil and what went wrong. */
static int fail(lua_State *L, int code) {
    int reason = errno;
    lua_pushnil(L);
    if (code == LJINSPECT_ERR_SYSTEM)
        lua_pushstring(L, strerror(reason));
    else
        lua_pushstring(L, ljinspect_strerror(code));
    return 2;
}

/* ---- Hooks ---- */

/* Argument 1: nil, or a string without NUL. */
static const char *check_file(lua_State *L) {
    size_t len;
    if (lua_isnoneornil(L, 1)) return NULL;
    const char *file = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, strlen(file) == len, 1, "file name contains a NUL byte");
    return file;
}

static int check_line(lua_State *L) {
    lua_Number line = luaL_checknumber(L, 2);
    luaL_argcheck(L, line == floor(line), 2, "line is not an integer");
    luaL_argcheck(L, line >= 1 && line <= 16777215, 2, "line out of range");
    return (int)line;
}

static int set_hook(lua_State *L) {
    if (lua_istable(L, 1) && lua_isnoneornil(L, 2)) return lua_options_set_hook(L);
    const char *file = check_file(L);
    int line = check_line(L);
    bool func = !lua_isnoneornil(L, 3);
    if (func) luaL_checktype(L, 3, LUA_TFUNCTION);
    luaL_checktype(L, 4, LUA_TFUNCTION);
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_LUA, .index = 4};
    int64_t id = ljinspect_set_hook(L, file, line, func ? 3 : 0, &filter);
    if (id < 0) return fail(L, (int)id);
    lua_pushnumber(L, (lua_Number)id);
    return 1;
}

static int set_engine(lua_State *L) {
    int error = ljinspect_set_engine(L, luaL_optstring(L, 1, NULL));
    luaL_argcheck(L, error != LJINSPECT_ERR_ARGUMENT, 1, "no engine has that name");
    if (error != 0) return fail(L, error);
    lua_pushboolean(L, 1);
    return 1;
}

/* A count, or nil and an error. */
static int push_count(lua_State *L, int n) {
    if (n < 0) return fail(L, n);
    lua_pushinteger(L, n);
    return 1;
}

static int unset_hook(lua_State *L) {
    const char *file = check_file(L);
    return push_count(L, ljinspect_unset_hook(L, file, check_line(L)));
}

static int unset_all(lua_State *L) {
    return push_count(L, ljinspect_unset_all(L));
}

/* The hooks as they are copied out of the library: making tables may collect garbage, and finalizers may unset hooks. */
typedef struct copies {
    ljinspect_hook_info *list;
    int n, n_max;
    char *text, *text_end;
} copies;

static int measure(const ljinspect_hook_info *info, void *arg) {
    *(size_t *)arg += strlen(info->key) + 1 + strlen(info->file) + 1;
    if (info->tag != NULL) *(size_t *)arg += strlen(info->tag) + 1;
    return 0;
}

static const char *keep(copies *c, const char *s) {
    size_t size = strlen(s) + 1;
    if (size > (size_t)(c->text_end - c->text)) return NULL;
    char *copy = memcpy(c->text, s, size);
    c->text += size;
    return copy;
}

static int copy_info(const ljinspect_hook_info *info, void *arg) {
    copies *c = arg;
    if (c->n == c->n_max) return 1;
    ljinspect_hook_info *to = &c->list[c->n];
    *to = *info;
    to->key = keep(c, info->key);
    to->file = keep(c, info->file);
    if (to->key == NULL || to->file == NULL) return 1;
    if (info->tag != NULL && (to->tag = keep(c, info->tag)) == NULL) return 1;
    c->n++;
    return 0;
}

static void push_info(lua_State *L, const ljinspect_hook_info *info) {
    static const char *const states[] = {"pending", "armed", "no code", "suspended"};
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"hits", (double)info->hits},
                   {"matched", (double)info->matched},
                   {"dropped", (double)info->dropped},
                   {"suspended", (double)info->suspensions},
                   {"errors", (double)info->errors},
                   {"mean_ns", info->mean_ns},
                   {"max_ns", info->max_ns}};
    lua_createtable(L, 0, 15);
    lua_pushnumber(L, (lua_Number)info->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, info->key);
    lua_setfield(L, -2, "key");
    lua_pushstring(L, info->file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, info->line);
    lua_setfield(L, -2, "line");
    lua_pushstring(L, states[info->state]);
    lua_setfield(L, -2, "state");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        lua_pushnumber(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    if (info->tag != NULL) {
        lua_pushstring(L, info->tag);
        lua_setfield(L, -2, "tag");
    }
    if (info->state == LJINSPECT_ARMED || info->state == LJINSPECT_SUSPENDED) {
        lua_pushinteger(L, info->places);
        lua_setfield(L, -2, "places");
    }
    if (info->state == LJINSPECT_NO_CODE) {
        lua_createtable(L, 2, 0);
        int n = 0;
        const int near[] = {info->line_before, info->line_after};
        for (int i = 0; i < 2; i++) {
            if (near[i] == 0) continue;
            lua_pushinteger(L, near[i]);
            lua_rawseti(L, -2, ++n);
        }
        lua_setfield(L, -2, "nearest");
    }
}

static int hooks(lua_State *L) {
    size_t text = 0;
    int n = ljinspect_hooks(L, measure, &text);
    if (n < 0) return fail(L, n);
    copies c = {.n_max = n};
    c.list = lua_newuserdata(L, (size_t)n * sizeof *c.list + text);
    c.text = (char *)(c.list + n);
    c.text_end = c.text + text;
    int again = ljinspect_hooks(L, copy_info, &c);
    if (again < 0) return fail(L, again);
    lua_createtable(L, c.n, 0);
    for (int i = 0; i < c.n; i++) {
        push_info(L, &c.list[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* The string field `name` of the table at 1, which stays on the stack; NULL where it is no string. */
static const char *string_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

static int getname(lua_State *L) {
    lua_Debug ar = {0};
    luaL_Buffer out;
    char small[LUA_IDSIZE + 256];
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *short_src = string_field(L, "short_src");
    ar.what = string_field(L, "what");
    ar.name = string_field(L, "name");
    lua_getfield(L, 1, "currentline");
    ar.currentline = lua_isnumber(L, -1) ? (int)lua_tointeger(L, -1) : -1;
    strncpy(ar.short_src, short_src != NULL ? short_src : "?", sizeof ar.short_src - 1);
    int n = ljinspect_getname(L, &ar, small, sizeof small);
    if (n >= 0 && (size_t)n < sizeof small) {
        lua_pushlstring(L, small, (size_t)n);
    } else { /* a very long name */
        luaL_buffinit(L, &out);
        luaL_addstring(&out, small);
        luaL_addstring(&out, "...");
        luaL_pushresult(&out);
    }
    return 1;
}

/* ---- Hooks file ---- */

static int start(lua_State *L, const char *file, double delay, unsigned flags) {
    int code = ljinspect_watch(L, file, delay, flags);
    if (code != 0) return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

static double check_delay(lua_State *L, int arg, int index) {
    if (lua_isnoneornil(L, index)) return 0;
    if (!lua_isnumber(L, index)) {
        lua_pushfstring(L, "delay: number expected, got %s", luaL_typename(L, index));
        luaL_argerror(L, arg, lua_tostring(L, -1));
    }
    lua_Number delay = lua_tonumber(L, index);
    luaL_argcheck(L, delay >= 0.01 && delay <= 86400, arg, "delay: 0.01 to 86400 seconds expected");
    return delay;
}

/* The hooks file named by argument `arg` at `index`, or by the environment. */
static const char *check_path(lua_State *L, int arg, int index) {
    if (!lua_isnoneornil(L, index) && lua_type(L, index) != LUA_TSTRING) {
        lua_pushfstring(L, "file: string expected, got %s", luaL_typename(L, index));
        luaL_argerror(L, arg, lua_tostring(L, -1));
    }
    if (lua_isnoneornil(L, index)) {
        const char *file = secure_getenv("LJINSPECT_HOOKS_FILE");
        luaL_argcheck(L, file != NULL && *file != '\0', arg, "file: none given, and LJINSPECT_HOOKS_FILE is not set");
        return file;
    }
    size_t len;
    const char *file = lua_tolstring(L, index, &len);
    luaL_argcheck(L, len > 0 && strlen(file) == len, arg, "file: empty, or contains a NUL byte");
    return file;
}

static int init(lua_State *L) {
    double delay = check_delay(L, 1, 1);
    return start(L, check_path(L, 2, 2), delay, 0);
}

/* The flag that the boolean option on top of the stack stands for. */
static unsigned check_flag(lua_State *L, const char *name, unsigned flag) {
    if (!lua_isboolean(L, -1)) {
        lua_pushfstring(L, "%s: boolean expected, got %s", name, luaL_typename(L, -1));
        luaL_argerror(L, 1, lua_tostring(L, -1));
    }
    return lua_toboolean(L, -1) ? flag : 0;
}

static int watch(lua_State *L) {
    unsigned flags = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "insecure") == 0) {
            flags |= check_flag(L, name, LJINSPECT_WATCH_INSECURE);
        } else if (strcmp(name, "poll") == 0) {
            flags |= check_flag(L, name, LJINSPECT_WATCH_POLL);
        } else if (strcmp(name, "file") != 0 && strcmp(name, "delay") != 0) {
            lua_pushfstring(L, "unknown option '%s'", *name != '\0' ? name : luaL_typename(L, -2));
            return luaL_argerror(L, 1, lua_tostring(L, -1));
        }
        lua_pop(L, 1);
    }
    lua_getfield(L, 1, "delay");
    lua_getfield(L, 1, "file");
    double delay = check_delay(L, 1, 2);
    return start(L, check_path(L, 1, 3), delay, flags);
}

/* A boolean, or nil and an error. */
static int push_done(lua_State *L, int result) {
    if (result < 0) return fail(L, result);
    lua_pushboolean(L, result);
    return 1;
}

static int destroy(lua_State *L) {
    return push_done(L, ljinspect_unwatch(L));
}

static int poll(lua_State *L) {
    return push_done(L, ljinspect_poll(L));
}

/* ---- Log and status ---- */

static char logger_key; /* registry: the Lua function */

static void call_logger(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    (void)userdata;
    lua_pushlightuserdata(L, &logger_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushstring(L, names[level]);
    lua_pushstring(L, message);
    lua_call(L, 2, 0);
}

static int set_logger(lua_State *L) {
    bool given = !lua_isnoneornil(L, 1);
    if (given) luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushlightuserdata(L, &logger_key);
    lua_insert(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    int code = ljinspect_set_logger(L, given ? call_logger : NULL, NULL);
    if (code != 0) return fail(L, code);
    return 0;
}

static int status(lua_State *L) {
    ljinspect_status s;
    int code = ljinspect_get_status(L, &s);
    if (code != 0) return fail(L, code);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, s.engine);
    lua_setfield(L, -2, "engine");
    lua_pushstring(L, s.watcher);
    lua_setfield(L, -2, "watcher");
    lua_pushstring(L, s.hooks_file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, s.hooks);
    lua_setfield(L, -2, "hooks");
    lua_pushstring(L, ljinspect_version());
    lua_setfield(L, -2, "version");
    lua_getglobal(L, "jit");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "version");
        lua_setfield(L, -3, "luajit");
    }
    lua_pop(L, 1);
    return 1;
}

int luaopen_ljinspect(lua_State *L) {
    static const luaL_Reg functions[] = {{"set_hook", set_hook},
                                         {"unset_hook", unset_hook},
                                         {"unset_all", unset_all},
                                         {"hooks", hooks},
                                         {"getname", getname},
                                         {"init", init},
                                         {"watch", watch},
                                         {"destroy", destroy},
                                         {"poll", poll},
                                         {"set_logger", set_logger},
                                         {"status", status},
                                         {"limits", lua_options_limits},
                                         {"set_engine", set_engine},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, LJINSPECT_VERSION);
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
