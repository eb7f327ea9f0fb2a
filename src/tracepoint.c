#include "tracepoint.h"

#include <lauxlib.h>
#include <luajit.h>
#include <stdint.h>
#include <string.h>

#include "jit_mode.h"
#include "line_jit.h"
#include "raw_field.h"

/* ---- By name ---- */

/* Replace the value on top by what the path of fields, "a.b.c", leads to from it. */
static void follow(lua_State *L, const char *path) {
    while (*path != '\0') {
        const char *dot = strchr(path, '.');
        size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);
        lua_pushlstring(L, path, len);
        const char *field = lua_tostring(L, -1);
        lua_insert(L, -2);
        raw_field(L, field);
        lua_remove(L, -2);
        path += len + (dot != NULL ? 1 : 0);
    }
}

bool tracepoint_find(lua_State *L, const char *name, const char **why) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "no room to look for a function");
    for (const char *end = name + strlen(name); end > name; end--) { /* the longest module name first */
        if (*end != '.') continue;
        lua_pushlstring(L, name, (size_t)(end - name));
        raw_loaded(L, lua_tostring(L, -1));
        follow(L, end + 1);
        lua_remove(L, -2);
        if (lua_isfunction(L, -1)) return true;
        lua_settop(L, top);
    }
    raw_loaded(L, "_G");
    follow(L, name);
    if (lua_isfunction(L, -1)) return true;
    lua_settop(L, top);
    *why = "no such function: neither a field of a loaded module nor of a global";
    return false;
}

/* ---- Its entry ---- */

/* Stack slots, from `at` on. */
enum { FUNCTION, FUNCBC, FUNCINFO, SLOTS };

/* lj_bc.h, BCMode; read so by jit/bc.lua since 2.0: bits 7 to 10 of the mode are that of operand D, 13 is a jump, and its
 * target the instruction D - 0x7fff further on. */
enum { MODE_D_SHIFT = 7, MODE_JUMP = 13, JUMP_BIAS = 0x7fff };

static int line_at(lua_State *L, int at, int pc) {
    lua_pushvalue(L, at + FUNCINFO);
    lua_pushvalue(L, at + FUNCTION);
    lua_pushinteger(L, pc);
    lua_call(L, 2, 1);
    int line = 0;
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "currentline");
        line = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return line;
}

/* The instruction that the one at `pc` jumps to; 0 where it does not jump; -1 past the last. */
static int jump_at(engine *e, lua_State *L, int at, int pc) {
    int known = e->class->is_jump != NULL ? e->class->is_jump(e, L, at + FUNCTION, pc) : -1;
    lua_pushvalue(L, at + FUNCBC);
    lua_pushvalue(L, at + FUNCTION);
    lua_pushinteger(L, pc);
    lua_call(L, 2, 2);
    int target = -1;
    if (lua_isnumber(L, -2) && lua_isnumber(L, -1)) {
        uint32_t ins = (uint32_t)(int64_t)lua_tonumber(L, -2);
        unsigned mode = (unsigned)(int64_t)lua_tonumber(L, -1);
        bool jumps = known >= 0 ? known != 0 : (mode >> MODE_D_SHIFT & 15) == MODE_JUMP;
        target = jumps ? pc + (int)(ins >> 16) - JUMP_BIAS : 0;
    }
    lua_pop(L, 2);
    return target;
}

/* Whether control comes to the line of the first instruction once: its instructions are the first ones, in a row, and no
 * jump leads there. */
static bool is_entered_once(engine *e, lua_State *L, int at, int line) {
    int last = 1, target;
    while (line_at(L, at, last + 1) == line && jump_at(e, L, at, last + 1) >= 0) last++;
    for (int pc = 1; (target = jump_at(e, L, at, pc)) >= 0; pc++) {
        if (pc > last && line_at(L, at, pc) == line) return false;
        if (target > 0 && target <= last && target <= pc) return false;
    }
    return true;
}

static bool push_util(lua_State *L, const char *name) {
    line_jit_push_util(L);
    raw_field(L, name);
    return lua_isfunction(L, -1);
}

bool tracepoint_line(lua_State *L, const char **source, int *line, const char **why) {
    lua_Debug ar;
    int top = lua_gettop(L), at = top + 1;
    luaL_checkstack(L, 10, "no room to look into a function");
    lua_pushvalue(L, top);
    lua_getinfo(L, ">S", &ar);
    *source = ar.source;
    *why = "a C function";
    if (strcmp(ar.what, "C") == 0) return false;
    lua_pushvalue(L, top);
    lua_pushnil(L); /* FUNCBC */
    *why = "jit.util is not there to look into the function";
    bool ok = push_util(L, "funcinfo");
    if (ok) {
        *line = line_at(L, at, 1);
        *why = "the function has no line numbers";
        ok = *line > 0;
    }
    lua_settop(L, top);
    return ok;
}

bool tracepoint_once(engine *e, lua_State *L, int line, const char **why) {
    int top = lua_gettop(L), at = top + 1;
    luaL_checkstack(L, 10, "no room to look into a function");
    lua_pushvalue(L, top);
    *why = "jit.util is not there to look into the function";
    bool ok = push_util(L, "funcbc") && push_util(L, "funcinfo");
    if (ok) {
        /* Loops that were compiled do not say where they jump to; hooking it drops its compiled code anyway. */
        lua_pushvalue(L, at);
        *why = "not possible within a finalizer";
        ok = jit_mode(L, LUAJIT_MODE_FUNC | LUAJIT_MODE_FLUSH) == 0;
        lua_pop(L, 1);
    }
    if (ok) {
        *why = "each call comes to its first line more than once (a loop, or a call over several lines): hook a line";
        ok = is_entered_once(e, L, at, line);
    }
    lua_settop(L, top);
    return ok;
}
