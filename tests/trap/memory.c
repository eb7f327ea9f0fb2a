/*
 * The trap engine on an allocator that fails: every n-th allocation while hooks are armed, hit and removed, for growing
 * n. Nothing may crash, what was armed stays armed, and in the end no trap is left.
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

static long countdown = -1; /* allocations until one fails; negative: none fails */
static unsigned long hits[100];

static void *failing_alloc(void *ud, void *ptr, size_t old, size_t size) {
    (void)ud;
    (void)old;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (countdown >= 0 && countdown-- == 0) return NULL;
    return realloc(ptr, size);
}

static int m_hit(void *owner, lua_State *L, const char *source, size_t len, int line) {
    (void)owner;
    (void)L;
    (void)source;
    (void)len;
    hits[(line & HOOKS_RETURN) != 0 ? (line & HOOKS_LINE_MAX) + 50 : line]++;
    return 1;
}

static void m_safepoint(void *owner, lua_State *L) {
    (void)owner;
    (void)L;
}

static bool m_waiting(void *owner) {
    (void)owner;
    return false;
}

static void m_log(void *owner, lua_State *L, int level, const char *format, ...) {
    (void)owner;
    (void)L;
    (void)level;
    (void)format;
}

static const char program[] =
    "local function f(a, b)\n"
    "  local c = a + b\n"
    "  if c > 5 then\n"
    "    return c .. 'x'\n"
    "  end\n"
    "  return c\n"
    "end\n"
    "local function g(n) local s = 0 for i = 1, n do s = s + #tostring(f(i, n)) end return s end\n"
    "return g\n";

/* In the place of a line: the returns of the function whose code begins on line 2. */
enum { RETURNS = 7 };

static int at(int line) {
    return line == RETURNS ? HOOKS_RETURN | 2 : line;
}

/* A message handler of xpcall() parses a function that is hooked, and fails. */
static const char handler[] = "local calls, parsed, failed = 0, true, false\n"
                              "local function handler()\n"
                              "  calls = calls + 1\n"
                              "  if calls == 1 then countdown() end\n"
                              "  parsed = parse() ~= nil and parsed\n"
                              "  failed = stop()\n"
                              "  error('within')\n"
                              "end\n"
                              "xpcall(error, handler, 'of the program')\n"
                              "return calls, parsed, failed\n";

static long delay;
static unsigned long short_of_memory;

static int start_countdown(lua_State *L) {
    (void)L;
    countdown = delay;
    return 0;
}

/* True: an allocation has failed. */
static int stop_countdown(lua_State *L) {
    lua_pushboolean(L, countdown < 0);
    countdown = -1;
    return 1;
}

/* As loadstring(), which catches errors of its own. */
static int parse(lua_State *L) {
    (void)L;
    return luaL_loadbuffer(L, program, sizeof(program) - 1, "@m.lua") == 0 ? 1 : (lua_pop(L, 1), 0);
}

static void count_warning(void *owner, lua_State *L, int level, const char *format, ...) {
    (void)owner;
    (void)L;
    (void)format;
    short_of_memory += level == LJINSPECT_WARN;
}

/* An allocation of the engine's that fails is no error that LuaJIT knows of: the handler is not called for its own
 * error, as it would be after one that the program caught. */
static int errors_in_a_handler(void) {
    static hook_table *table;
    unsigned long parsed = 0;
    for (delay = 0; delay < 200; delay++) {
        lua_State *L = lua_newstate(failing_alloc, NULL);
        if (L == NULL) return 77;
        luaL_openlibs(L);
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* an aborted recording is such an error, too */
        lua_register(L, "countdown", start_countdown);
        lua_register(L, "stop", stop_countdown);
        lua_register(L, "parse", parse);
        engine_host host = {.table = &table,
                            .anchor = L,
                            .hit = m_hit,
                            .safepoint = m_safepoint,
                            .change_waiting = m_waiting,
                            .log = count_warning};
        engine *e = engine_trap.open(L, &host);
        if (e == NULL) return 77;
        if (e->class->arm(e, L, "m.lua", 5, 2, 0) != 0) return 1;
        if (luaL_loadbuffer(L, handler, sizeof(handler) - 1, "@handler") != 0) return 1;
        unsigned long before = short_of_memory;
        int status = lua_pcall(L, 0, 3, 0);
        countdown = -1;
        if (status != 0) {
            printf("delay %ld: %s\n", delay, lua_tostring(L, -1));
            return 1;
        }
        /* Where the parser itself was short of memory the program has caught an error. */
        if (lua_toboolean(L, 2) && lua_tointeger(L, 1) != 1) {
            printf("delay %ld: the handler was called %d times\n", delay, (int)lua_tointeger(L, 1));
            return 1;
        }
        parsed += lua_toboolean(L, 2) && lua_toboolean(L, 3) && short_of_memory > before;
        e->class->close(e, L, false);
        lua_close(L);
    }
    printf("%lu functions parsed but not looked at for want of memory\n", parsed);
    return parsed > 0 ? 0 : 1;
}

int main(void) {
    static hook_table *table;
    unsigned long fails = 0, armed_count = 0;
    for (long n = 0; n < 400; n++) {
        lua_State *L = lua_newstate(failing_alloc, NULL);
        if (L == NULL) return 77; /* a build that insists on its own allocator */
        luaL_openlibs(L);
        engine_host host = {.table = &table,
                            .anchor = L,
                            .hit = m_hit,
                            .safepoint = m_safepoint,
                            .change_waiting = m_waiting,
                            .log = m_log};
        engine *e = engine_trap.open(L, &host);
        if (e == NULL) return 77;
        if (luaL_loadbuffer(L, program, sizeof(program) - 1, "@m.lua") != 0 || lua_pcall(L, 0, 1, 0) != 0) return 1;
        bool armed[10] = {false};
        for (int line = 2; line <= RETURNS; line++) {
            countdown = n % 100;
            int rc = e->class->arm(e, L, "m.lua", 5, at(line), 0);
            countdown = -1;
            armed[line] = rc == 0;
            fails += rc != 0;
            armed_count += rc == 0;
            if (rc != 0 && rc != LJINSPECT_ERR_NOMEM) printf("line %d: error %d\n", line, rc);
        }
        for (int k = 0; k < 3; k++) {
            countdown = n * 3 + k;
            e->class->maintain(e, L);
            lua_pushvalue(L, -1);
            lua_pushinteger(L, 20);
            bool ok = lua_pcall(L, 1, 1, 0) == 0;
            countdown = -1;
            lua_pop(L, 1);
            if (!ok) continue;
        }
        for (int i = 0; i < 100; i++) hits[i] = 0;
        lua_pushvalue(L, -1);
        lua_pushinteger(L, 20);
        if (lua_pcall(L, 1, 1, 0) != 0 || lua_tointeger(L, -1) != 20 * 3) {
            printf("wrong result: %s\n", lua_tostring(L, -1));
            return 1;
        }
        lua_pop(L, 1);
        for (int line = 2; line <= 4; line++) {
            if (hits[line] != (armed[line] ? 20u : 0u)) {
                printf("n %ld line %d armed %d: %lu hits\n", n, line, armed[line], hits[line]);
                return 1;
            }
        }
        if (hits[52] != (armed[RETURNS] ? 20u : 0u)) {
            printf("n %ld returns armed %d: %lu hits\n", n, armed[RETURNS], hits[52]);
            return 1;
        }
        for (int line = 2; line <= RETURNS; line++) {
            countdown = n % 7;
            if (armed[line]) e->class->disarm(e, L, "m.lua", 5, at(line));
            countdown = -1;
        }
        e->class->maintain(e, L);
        for (int i = 0; i < 100; i++) hits[i] = 0;
        lua_pushvalue(L, -1);
        lua_pushinteger(L, 20);
        if (lua_pcall(L, 1, 1, 0) != 0) return 1;
        lua_pop(L, 1);
        for (int i = 0; i < 100; i++) {
            if (hits[i] != 0) {
                printf("n %ld: hits on line %d after all hooks went\n", n, i);
                return 1;
            }
        }
        e->class->close(e, L, false);
        lua_close(L);
    }
    printf("%lu armed, %lu refused for want of memory\n", armed_count, fails);
    return errors_in_a_handler();
}
