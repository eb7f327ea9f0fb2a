/* Bytes: a program for a small stack machine that makes Lua values; the last is shown, as text and as JSON, within bounds. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/render.h"
#include "json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct input {
    const uint8_t *at, *end;
} input;

static unsigned next(input *in) {
    return in->at < in->end ? *in->at++ : 0;
}

static int fails(lua_State *L) {
    return luaL_error(L, "\"failed\"\n");
}

static int describes(lua_State *L) {
    lua_pushliteral(L, "a \"description\"\n\xff");
    return 1;
}

/* Table at -3, key, value; a key that cannot be one is left out. */
static void set(lua_State *L) {
    bool bad = lua_isnil(L, -2) || (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) != lua_tonumber(L, -2));
    if (bad || !lua_istable(L, -3))
        lua_pop(L, 2);
    else
        lua_rawset(L, -3);
}

static void step(lua_State *L, input *in) {
    static const double numbers[] = {0, -0.0, 1, -1, 1.5, 1e14, 1e15, 1e308, 4294967296.0, 0.1};
    unsigned op = next(in), n = next(in);
    switch (op % 12) {
    case 0: lua_newtable(L); break;
    case 1: lua_pushnumber(L, n < 10 ? numbers[n] : (double)n); break;
    case 2: lua_pushnumber(L, n % 2 == 0 ? (double)n / 0.0 : 0.0 / 0.0); break;
    case 3:
        if (n > (size_t)(in->end - in->at)) n = (unsigned)(in->end - in->at);
        lua_pushlstring(L, (const char *)in->at, n);
        in->at += n;
        break;
    case 4: lua_pushboolean(L, n & 1); break;
    case 5: lua_pushnil(L); break;
    case 6: lua_pushcfunction(L, n % 2 == 0 ? fails : describes); break;
    case 7: lua_newuserdata(L, n); break;
    case 8: lua_newthread(L); break;
    case 9:
        if (lua_gettop(L) > 0) lua_pushvalue(L, 1 + (int)n % lua_gettop(L));
        break;
    case 10:
        if (lua_gettop(L) >= 3) set(L);
        break;
    default: /* a metatable with a __tostring */
        if (lua_gettop(L) < 1 || (!lua_istable(L, -1) && !lua_isuserdata(L, -1))) break;
        lua_newtable(L);
        lua_pushcfunction(L, n % 2 == 0 ? fails : describes);
        lua_setfield(L, -2, "__tostring");
        lua_setmetatable(L, -2);
    }
}

static int make_and_show(lua_State *L) {
    input *in = lua_touserdata(L, 1);
    lua_settop(L, 0);
    const render_limits limits = {.depth = 1 + (int)next(in) % RENDER_DEPTH_MAX,
                                  .entries = 1 + (int)next(in),
                                  .string = 1 + (int)next(in),
                                  .bytes = 1 + 4 * (int)next(in)};
    mask_list masks;
    outbuf o = {.data = NULL};
    while (in->at < in->end && lua_gettop(L) < 200) {
        luaL_checkstack(L, 8, "no room");
        step(L, in);
    }
    if (lua_gettop(L) == 0) return 0;
    if (!mask_init(&masks)) abort();
    for (int form = 0; form < 4; form++) {
        int top = lua_gettop(L);
        render r = {.L = L,
                    .out = &o,
                    .limits = &limits,
                    .masks = &masks,
                    .json = (form & 1) != 0,
                    .tostring = (form & 2) != 0};
        out_clear(&o);
        render_value(&r, -1, form == 3 ? "some_token" : "value");
        if (o.failed || lua_gettop(L) != top) abort();
        if (r.json && !json_check(o.data, o.len)) abort();
        /* One string over the bound, escaped, and what closes each table. */
        if (o.len > (size_t)limits.bytes + 6 * (size_t)limits.string + 4096) abort();
        if (!r.json) {
            out_clear(&o);
            render_plain(&r, -1);
            for (size_t i = 0; i < o.len; i++)
                if ((unsigned char)o.data[i] < ' ') abort();
        }
    }
    mask_free(&masks);
    out_free(&o);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    input in = {.at = bytes, .end = bytes + size};
    lua_State *L = luaL_newstate();
    if (L == NULL || lua_cpcall(L, make_and_show, &in) != 0) abort();
    lua_close(L);
    return 0;
}
