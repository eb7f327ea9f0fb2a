#include "line_jit.h"

#include <lauxlib.h>
#include <luajit.h>
#include <string.h>

#include "digest.h"
#include "ljinspect.h"
#include "raw_field.h"

/* Where the registry holds the function that does it all; negative as in context.c. */
enum { CONTROL_KEY = -0x6c6a6904 };

/* LuaJIT 2.1 keeps the opener in package.preload until somebody requires it (lib_jit.c, luaopen_jit); called directly
 * it makes a table of its own and leaves no trace. 2.0 has the table in `jit` itself. */
void line_jit_push_util(lua_State *L) {
    raw_loaded(L, "jit.util");
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    raw_loaded(L, "jit");
    raw_field(L, "util");
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    raw_loaded(L, "package");
    raw_field(L, "preload");
    raw_field(L, "jit.util");
    if (!lua_iscfunction(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
        return;
    }
    lua_pushliteral(L, "jit.util");
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM) lua_error(L);
    if (status != 0 || !lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

/* ---- Inside protected calls ---- */

enum { OP_STATUS, OP_OFF, OP_ON, OP_LOOPS };
enum { UP_STATUS = 1, UP_FUNCBC, UP_FUNCINFO, UPS = 3 };

/* jit.util.funcinfo(f, pc).currentline, or 0. f is at index 1. */
static int line_of(lua_State *L, int pc) {
    lua_pushvalue(L, lua_upvalueindex(UP_FUNCINFO));
    lua_pushvalue(L, 1);
    lua_pushinteger(L, pc);
    lua_call(L, 2, 1);
    raw_field(L, "currentline");
    int line = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return line;
}

/* Whether the function at index 1 has a backward jump from `line` to `line`. jit.util.funcbc returns the instruction
 * and its operand modes; mode 13 in bits 7 to 10 is a jump, whose distance is the upper half less 0x8000, from the next
 * instruction on (jit/bc.lua reads it so since 2.0; lj_bc.h, BCMjump). */
static bool has_loop(lua_State *L, int line) {
    for (int pc = 1;; pc++) {
        lua_pushvalue(L, lua_upvalueindex(UP_FUNCBC));
        lua_pushvalue(L, 1);
        lua_pushinteger(L, pc);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) return false;
        uint32_t ins = (uint32_t)(int64_t)lua_tonumber(L, -2);
        unsigned mode = (unsigned)(int64_t)lua_tonumber(L, -1);
        lua_pop(L, 2);
        int target = pc + 1 + (int)(ins >> 16) - 0x8000;
        if ((mode & (15u << 7)) == (13u << 7) && target <= pc && target > 0 && line_of(L, pc) == line &&
            line_of(L, target) == line)
            return true;
    }
}

/* (function if OP_LOOPS, op, line) -> boolean */
static int control(lua_State *L) {
    int line = (int)lua_tointeger(L, -1), op = (int)lua_tointeger(L, -2);
    switch (op) {
    case OP_STATUS:
        lua_pushvalue(L, lua_upvalueindex(UP_STATUS));
        if (!lua_isfunction(L, -1)) return 0;
        lua_call(L, 0, 1);
        return 1;
    case OP_OFF:
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
        return 0;
    case OP_ON: luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON); return 0;
    default: lua_pushboolean(L, !lua_isfunction(L, lua_upvalueindex(UP_FUNCBC)) || has_loop(L, line)); return 1;
    }
}

/* Run `control` in a protected call; with `function` the function on top of the stack is its first argument, and is
 * popped. 1 for true, 0 for false or nothing, -1 for an error. */
static int call_control(line_jit *j, lua_State *L, int op, int line, bool function) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, CONTROL_KEY);
    if (function) lua_insert(L, -2);
    lua_pushinteger(L, op);
    lua_pushinteger(L, line);
    j->calling = true;
    int result = lua_pcall(L, function ? 3 : 2, 1, 0) != 0 ? -1 : lua_toboolean(L, -1);
    j->calling = false;
    lua_pop(L, 1);
    return result;
}

/* ---- Outside ---- */

void line_jit_open(line_jit *j, lua_State *L) {
    j->switched = j->calling = false;
    line_jit_forget(j);
    raw_loaded(L, "jit");
    raw_field(L, "status");
    line_jit_push_util(L);
    lua_pushvalue(L, -1);
    raw_field(L, "funcbc");
    lua_insert(L, -2);
    raw_field(L, "funcinfo");
    lua_pushcclosure(L, control, UPS);
    lua_rawseti(L, LUA_REGISTRYINDEX, CONTROL_KEY);
}

void line_jit_close(line_jit *j, lua_State *L) {
    (void)j;
    lua_pushnil(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, CONTROL_KEY);
}

int line_jit_off(line_jit *j, lua_State *L) {
    int on = call_control(j, L, OP_STATUS, 0, false);
    if (on < 0) return LJINSPECT_ERR_NOMEM;
    if (call_control(j, L, OP_OFF, 0, false) < 0) return LJINSPECT_ERR_BUSY;
    j->switched = on > 0;
    return 0;
}

int line_jit_restore(line_jit *j, lua_State *L) {
    if (j->switched && call_control(j, L, OP_ON, 0, false) < 0) return LJINSPECT_ERR_BUSY;
    j->switched = false;
    return 0;
}

void line_jit_recheck(line_jit *j, lua_State *L) {
    if (call_control(j, L, OP_STATUS, 0, false) > 0 && call_control(j, L, OP_OFF, 0, false) >= 0) j->switched = true;
}

void line_jit_forget(line_jit *j) {
    memset(j->loops, 0, sizeof j->loops);
}

/* Functions are told apart by chunk name and lines: closures of one function share an entry. Never 0. */
static uint64_t loops_key(const lua_Debug *info, int line) {
    const int numbers[] = {info->linedefined, info->lastlinedefined, line};
    uint64_t key = digest_bytes(DIGEST_START, info->source, strlen(info->source));
    key = digest_bytes(key, numbers, sizeof numbers);
    return key | 1;
}

bool line_jit_loops(line_jit *j, lua_State *L, const lua_Debug *ar, int line) {
    lua_Debug info = *ar;
    lua_getinfo(L, "Sf", &info);
    uint64_t key = loops_key(&info, line);
    size_t at = (size_t)(key >> 32) % LINE_JIT_LOOPS_CACHED;
    if (j->loops[at].key == key) {
        lua_pop(L, 1);
        return j->loops[at].loops;
    }
    int loops = call_control(j, L, OP_LOOPS, line, true);
    if (loops < 0) return true;
    j->loops[at].key = key;
    j->loops[at].loops = loops > 0;
    return loops > 0;
}
