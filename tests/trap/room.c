/*
 * A VM is woken at the header of a metamethod: its arguments lie above the stack's limit by then, in the slots that
 * LuaJIT keeps for that (lj_state.c: LJ_STACK_EXTRA), and only the header makes room. Nothing may be written behind
 * the stack, and the VM is woken all the same, here or at a later call.
 *
 * And where the engine makes room for a hit, with the top at the limit, below it and above it, with and without memory.
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trap.h"

enum { ZONE = 4096, MARK = 0xa5 };

static engine *under_test;
static int waiting, primed;
static bool no_stack; /* there is no memory for a larger stack */
static unsigned long safepoints, overruns;

/* What the watcher does. Not by a call of the program's, which would make room on the stack. */
static void wake_by_size(size_t size) {
    if (!primed || size < 5000) return;
    primed = 0;
    waiting = 1;
    under_test->class->wake(under_test);
}

static void look_behind(const unsigned char *block, size_t size) {
    for (int i = 0; i < ZONE; i++) {
        if (block[size + (size_t)i] == MARK) continue;
        printf("a block of %zu bytes was written behind its end\n", size);
        overruns++;
        return;
    }
}

static void *zoned_alloc(void *ud, void *ptr, size_t old, size_t size) {
    (void)ud;
    if (ptr != NULL) look_behind(ptr, old);
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (no_stack && ptr != NULL && size > old) return NULL;
    wake_by_size(size);
    unsigned char *block = malloc(size + ZONE);
    if (block == NULL) return NULL;
    memset(block + size, MARK, ZONE);
    if (ptr != NULL) memcpy(block, ptr, old < size ? old : size);
    free(ptr);
    return block;
}

static int r_hit(void *owner, lua_State *L, const char *source, size_t len, int line) {
    (void)owner, (void)L, (void)source, (void)len, (void)line;
    return 1;
}

static void r_safepoint(void *owner, lua_State *L) {
    (void)owner;
    if (!waiting) return;
    waiting = 0;
    safepoints++;
    under_test->class->awake(under_test, L);
}

static bool r_waiting(void *owner) {
    (void)owner;
    return waiting != 0;
}

static void r_log(void *owner, lua_State *L, int level, const char *format, ...) {
    (void)owner, (void)L, (void)level, (void)format;
}

static int prime(lua_State *L) {
    (void)L;
    primed = 1;
    return 0;
}

/* The watcher goes on until its change is taken. */
static int wake_again(lua_State *L) {
    (void)L;
    if (waiting) under_test->class->wake(under_test);
    return 0;
}

/* Frames of each size, on the stack of a coroutine that is new, where the first call after the wake is that of a metamethod. */
static const char program[] =
    "local do_it = ...\n"
    "local meta = {__index = function() return 1 end, __newindex = function() end, __add = function() return 1 end,\n"
    "  __lt = function() return true end, __concat = function() return '' end, __call = function() end}\n"
    "called = setmetatable({}, {__newindex = setmetatable({}, meta)})\n"
    "t = setmetatable({}, meta)\n"
    "for n = 1, 120 do\n"
    "  local names = {}\n"
    "  for i = 1, n do names[i] = 'a' .. i end\n"
    "  local code = 'local t, called, long = t, called, ... return function() local ' .. table.concat(names, ',') ..\n"
    "    ' a1 = long .. ' .. n .. ' ' .. do_it .. ' end'\n"
    "  local f = coroutine.wrap(assert(loadstring(code))(('x'):rep(6000 + 7 * n)))\n"
    "  prime()\n"
    "  f()\n"
    "  wake_again()\n"
    "  math.abs(1) -- at the latest\n"
    "end\n";

static bool room_at_the_limit(bool memory) {
    static hook_table *table;
    for (int over = -2; over <= 9; over++) {
        lua_State *L = lua_newstate(zoned_alloc, NULL);
        engine_host host = {.table = &table, .anchor = L, .log = r_log};
        engine *e = L != NULL ? engine_trap.open(L, &host) : NULL;
        if (e == NULL) return false;
        vm_set_ptr(L, VM_L_TOP, (char *)vm_ptr(L, VM_L_MAXSTACK) + (ptrdiff_t)8 * over);
        int before = lua_gettop(L);
        no_stack = !memory;
        bool made = trap_have_stack((trap_engine *)(void *)e, L, TRAP_STACK);
        no_stack = false;
        if (made != (memory && over <= 4) || lua_gettop(L) != before) {
            printf("%d slots above the limit: room %d, the top moved by %d\n", over, made, lua_gettop(L) - before);
            overruns++;
        }
        lua_settop(L, 0);
        e->class->close(e, L, false);
        lua_close(L);
    }
    return true;
}

int main(void) {
    static const char *const doings[] = {"t.x = 1",     "a1 = t.x", "a1 = t + t",  "a1 = t < t",
                                         "a1 = t .. t", "t()",      "called.x = 1"};
    static hook_table *table;
    for (size_t i = 0; i < sizeof doings / sizeof doings[0]; i++) {
        lua_State *L = lua_newstate(zoned_alloc, NULL);
        if (L == NULL) return 77; /* a build that insists on its own allocator */
        luaL_openlibs(L);
        engine_host host = {.table = &table,
                            .anchor = L,
                            .hit = r_hit,
                            .safepoint = r_safepoint,
                            .change_waiting = r_waiting,
                            .log = r_log};
        under_test = engine_trap.open(L, &host);
        if (under_test == NULL) return 77;
        lua_register(L, "prime", prime);
        lua_register(L, "wake_again", wake_again);
        unsigned long before = safepoints;
        if (luaL_loadbuffer(L, program, sizeof program - 1, "@room.lua") != 0) return 1;
        lua_pushstring(L, doings[i]);
        if (lua_pcall(L, 1, 0, 0) != 0) {
            printf("%s: %s\n", doings[i], lua_tostring(L, -1));
            return 1;
        }
        if (safepoints - before != 120) {
            printf("%s: %lu safepoints for 120 wakes\n", doings[i], safepoints - before);
            return 1;
        }
        under_test->class->close(under_test, L, false);
        lua_close(L);
    }
    if (!room_at_the_limit(true) || !room_at_the_limit(false)) return 1;
    printf("%lu safepoints, %lu blocks written behind their end\n", safepoints, overruns);
    return overruns > 0;
}
