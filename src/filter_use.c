#include "filter_use.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "line_jit.h"

/* Operand modes as jit.util.funcbc returns them beside the instruction (lj_bc.h, BCMode; read so by jit/bc.lua since
 * 2.0): A in bits 0 to 2, B in 3 to 6, C or D in 7 to 10. */
enum { MODE_NONE = 0, MODE_DST = 1, MODE_BASE = 2, MODE_VAR = 3, MODE_RBASE = 4 };

/* Stack slots. */
enum { FILTER = 1, UTIL, FUNCBC, FUNCINFO, FUNCK, PROBE };

/* Read one instruction of the function at `index`. False past the last one. */
static bool read_ins(lua_State *L, int index, int pc, uint32_t *ins, unsigned *mode) {
    lua_pushvalue(L, FUNCBC);
    lua_pushvalue(L, index);
    lua_pushinteger(L, pc);
    lua_call(L, 2, 2);
    bool there = lua_isnumber(L, -2) && lua_isnumber(L, -1);
    *ins = (uint32_t)(int64_t)lua_tonumber(L, -2);
    *mode = (unsigned)(int64_t)lua_tonumber(L, -1);
    lua_pop(L, 2);
    return there;
}

/* Whether an operand of this mode, with this value, can mean slot 0. Ranges start at their lowest slot. */
static bool is_slot_0(unsigned mode, uint32_t value) {
    return (mode == MODE_VAR || mode == MODE_BASE || mode == MODE_RBASE || mode == MODE_DST) && value == 0;
}

/* The part that a constant of the filter names; 0 for another name. Slot 0 indexed with that is nil: no harm. */
static unsigned part_named(lua_State *L, int constant) {
    static const struct {
        const char *name;
        unsigned part;
    } parts[] = {{"finfo", USES_FINFO},      {"vals", USES_VALS},       {"uv", USES_UV},
                 {"varargs", USES_VARARGS},  {"returns", USES_RETURNS}, {"duration_us", USES_LEAVING},
                 {"tail_call", USES_LEAVING}};
    unsigned part = 0;
    lua_pushvalue(L, FUNCK);
    lua_pushvalue(L, FILTER);
    lua_pushinteger(L, -1 - constant);
    lua_call(L, 2, 1);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (name != NULL && strcmp(name, parts[i].name) == 0) part = parts[i].part;
    lua_pop(L, 1);
    return name != NULL ? part : (unsigned)USES_ALL;
}

/* Whether field `name` of the table on top of the stack is true, or a number other than 0. */
static bool has_field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool yes = lua_isnumber(L, -1) ? lua_tonumber(L, -1) != 0 : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return yes;
}

/* What can be said without looking at the code: -1 for nothing. */
static int use_by_signature(lua_State *L) {
    lua_pushvalue(L, FUNCINFO);
    lua_pushvalue(L, FILTER);
    lua_call(L, 1, 1);
    int uses = -1;
    bool known = lua_istable(L, -1);
    if (known && !has_field(L, "isvararg") && !has_field(L, "params"))
        uses = 0;
    else if (!known || has_field(L, "isvararg") || has_field(L, "children")) /* a closure may capture the parameter */
        uses = USES_ALL;
    lua_pop(L, 1);
    return uses;
}

/* The opcode of the first instruction of a function; -1 where it cannot be told. */
static int opcode_of(lua_State *L, const char *chunk) {
    uint32_t ins;
    unsigned mode;
    lua_settop(L, PROBE - 1);
    if (luaL_loadstring(L, chunk) != 0) return -1;
    lua_call(L, 0, 1);
    return read_ins(L, PROBE, 1, &ins, &mode) ? (int)(ins & 0xff) : -1;
}

static unsigned examine(lua_State *L) {
    uint32_t ins;
    unsigned mode, uses = 0;
    int known = use_by_signature(L);
    if (known >= 0) return (unsigned)known;
    int get_field = opcode_of(L, "return function(a) return a.b end"); /* TGETS */
    int return_nothing = opcode_of(L, "return function() end");        /* RET0, whose A means nothing */
    if (get_field < 0 || return_nothing < 0 || get_field == return_nothing) return USES_ALL;
    for (int pc = 1; read_ins(L, FILTER, pc, &ins, &mode); pc++) {
        unsigned mode_a = mode & 7, mode_b = mode >> 3 & 15, mode_cd = mode >> 7 & 15;
        uint32_t a = ins >> 8 & 0xff, b = ins >> 24, cd = mode_b != MODE_NONE ? ins >> 16 & 0xff : ins >> 16;
        if ((int)(ins & 0xff) == return_nothing) continue;
        if ((int)(ins & 0xff) == get_field && b == 0 && a != 0)
            uses |= part_named(L, (int)cd);
        else if (is_slot_0(mode_a, a) || (mode_b != MODE_NONE && is_slot_0(mode_b, b)) || is_slot_0(mode_cd, cd))
            return USES_ALL;
    }
    return uses;
}

static bool push_function(lua_State *L, const char *name) {
    lua_getfield(L, UTIL, name);
    return lua_isfunction(L, -1);
}

static int use_of(lua_State *L) {
    unsigned uses = USES_ALL;
    lua_settop(L, FILTER);
    line_jit_push_util(L);
    if (lua_istable(L, UTIL) && push_function(L, "funcbc") && push_function(L, "funcinfo") && push_function(L, "funck"))
        uses = examine(L);
    lua_pushinteger(L, (lua_Integer)uses);
    return 1;
}

unsigned filter_use(lua_State *L) {
    lua_pushcfunction(L, use_of);
    lua_pushvalue(L, -2);
    unsigned uses = lua_pcall(L, 1, 1, 0) == 0 ? (unsigned)lua_tointeger(L, -1) : (unsigned)USES_ALL;
    lua_pop(L, 1);
    return uses;
}
