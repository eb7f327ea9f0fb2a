/*
 * No memory for a hit: it is not reported, and what the program has in its frame stays, whatever LuaJIT does with the frame
 * when it notices (lj_err.c: lj_err_mem). Frames of each size and results of each number, on the stack of a coroutine
 * that is new, so that the engine must make room for some of them.
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static long delay, countdown = -1; /* allocations until one fails; negative: none fails */
static bool counting;
static unsigned long reported, unreported, wrong;

static void *failing_alloc(void *ud, void *ptr, size_t old, size_t size) {
    (void)ud, (void)old;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (countdown >= 0 && countdown-- == 0) return NULL;
    return realloc(ptr, size);
}

/* What a filter uses of the stack, at the least. */
static int s_hit(void *owner, lua_State *L, const char *source, size_t len, int line) {
    (void)owner, (void)source, (void)len, (void)line;
    int top = lua_gettop(L);
    for (int i = 0; i < LUA_MINSTACK; i++) lua_pushboolean(L, 0);
    lua_settop(L, top);
    reported++;
    return 1;
}

static void s_safepoint(void *owner, lua_State *L) {
    (void)owner, (void)L;
}

static bool s_waiting(void *owner) {
    (void)owner;
    return false;
}

static void s_log(void *owner, lua_State *L, int level, const char *format, ...) {
    (void)owner, (void)L, (void)level, (void)format;
}

static int start(lua_State *L) {
    (void)L;
    counting = true;
    countdown = delay;
    return 0;
}

/* values(n): 1 to n. */
static int start_values(lua_State *L) {
    int n = (int)luaL_checkinteger(L, 1);
    luaL_checkstack(L, n, "values");
    for (int i = 1; i <= n; i++) lua_pushinteger(L, i);
    counting = true;
    countdown = delay;
    return n;
}

/* stop(what, "first", 1, 2...): what came of it. */
static int stop(lua_State *L) {
    bool right = lua_isstring(L, 2) && strcmp(lua_tostring(L, 2), "first") == 0;
    for (int i = 3; i <= lua_gettop(L); i++) right &= lua_type(L, i) == LUA_TNUMBER && lua_tointeger(L, i) == i - 2;
    unreported += counting && countdown < 0;
    counting = false;
    countdown = -1;
    if (right) return 0;
    wrong++;
    printf("allocation %ld, %s:", delay, lua_tostring(L, 1));
    for (int i = 2; i <= lua_gettop(L) && i < 12; i++) printf(" %s", luaL_typename(L, i));
    printf("\n");
    return 0;
}

/* The program may be short of memory, too. */
static const char program[] =
    "local function try(what, params, code)\n"
    "  local f = assert(loadstring('return function(' .. params .. ') ' .. code .. ' end', '@short.lua'))()\n"
    "  local ok, message = pcall(coroutine.wrap(function() stop(what, f()) end))\n"
    "  assert(ok or message == 'not enough memory', message)\n"
    "end\n"
    "for n = 1, 120 do\n"
    "  local names = {}\n"
    "  for i = 1, n do names[i] = 'a' .. i end\n"
    "  names = table.concat(names, ',')\n"
    "  for _, params in ipairs { '', '...' } do\n"
    "    try('line ' .. n .. params, params, 'local first = \"first\" start() local ' .. names .. '\\na1 = 1 local s = "
    "one return first, s')\n"
    "    try('return ' .. n .. params, params, 'local first = \"first\"\\nreturn first, values(' .. n .. ')')\n"
    "    try('outer ' .. n .. params, params, 'local first = \"first\"\\nstop(\"call ' .. n .. params .. '\", "
    "first,\\nvalues(' .. n + 80 .. ')) return first')\n"
    "  end\n"
    "end\n";

int main(void) {
    static hook_table *table;
    for (delay = 0; delay < 3; delay++) {
        lua_State *L = lua_newstate(failing_alloc, NULL);
        if (L == NULL) return 77; /* a build that insists on its own allocator */
        luaL_openlibs(L);
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* it allocates, too */
        engine_host host = {.table = &table,
                            .anchor = L,
                            .hit = s_hit,
                            .safepoint = s_safepoint,
                            .change_waiting = s_waiting,
                            .log = s_log};
        engine *e = engine_trap.open(L, &host);
        if (e == NULL) return 77;
        lua_register(L, "start", start);
        lua_register(L, "values", start_values);
        lua_register(L, "stop", stop);
        lua_pushinteger(L, 1);
        lua_setglobal(L, "one");
        if (e->class->arm(e, L, "short.lua", 9, 2, 0) != 0) return 1;
        if (e->class->arm(e, L, "short.lua", 9, HOOKS_RETURN | 1, 0) != 0) return 1;
        if (luaL_loadbuffer(L, program, sizeof program - 1, "@program") != 0 || lua_pcall(L, 0, 0, 0) != 0) {
            printf("allocation %ld: %s\n", delay, lua_tostring(L, -1));
            return 1;
        }
        e->class->close(e, L, false);
        lua_close(L);
    }
    printf("%lu hits, %lu frames for which there was no memory, %lu of these changed\n", reported, unreported, wrong);
    return wrong > 0 || unreported == 0;
}
