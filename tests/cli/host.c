/*
 * A program that has LuaJIT as a library, and a VM in each of its threads. Each is at a place of its own, which hosts.sh
 * knows: in a loop, waiting in a C function, in a coroutine that a C function called from Lua resumed, in a callback of
 * the FFI, and in compiled code that waits in a C function called through the FFI. Ends when its input does.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int wait_here(lua_State *L) {
    (void)L;
    for (;;) pause();
    return 0;
}

/* resume(f): like coroutine.wrap(f)(), in C. */
static int resume(lua_State *L) {
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    if (lua_resume(co, 0) > LUA_YIELD) return lua_error(co);
    return 0;
}

#define SPINS                                                   \
    "local function loop() while true do local x = 1 end end\n" \
    "local function spins() loop() return 1 end\nspins()"
#define WAITS "local function waits() wait() return 1 end\nwaits()"
#define RESUMES \
    "local function inside() wait() return 1 end\nlocal function outside() resume(inside) return 1 end\noutside()"
#define CALLS_BACK                                                                                        \
    "local ffi = require 'ffi'\nffi.cdef 'void qsort(void *, size_t, size_t, int (*)(void *, void *))'\n" \
    "local function compare(a, b) wait() return 0 end\nlocal function sorts()\n"                          \
    "local a = ffi.new('int[2]') ffi.C.qsort(a, 2, 4, compare) return 1\nend\nsorts()"
#define NAPS                                                                                    \
    "local ffi = require 'ffi'\nffi.cdef 'int usleep(unsigned)'\nlocal usleep = ffi.C.usleep\n" \
    "local function naps()\nfor i = 1, 1e9 do usleep(math.floor(i / 200) * 1e8 + 1) end\nend\nnaps()"

static const char *const PROGRAMS[] = {SPINS, WAITS, RESUMES, CALLS_BACK, NAPS};
enum { N_PROGRAMS = sizeof(PROGRAMS) / sizeof(PROGRAMS[0]) };

static void *run(void *arg) {
    const char *const *program = arg;
    char name[32];
    lua_State *L = luaL_newstate();
    if (L == NULL) abort();
    luaL_openlibs(L);
    lua_register(L, "wait", wait_here);
    lua_register(L, "resume", resume);
    snprintf(name, sizeof name, "=thread%d", (int)(program - PROGRAMS) + 1);
    size_t len = 0;
    while ((*program)[len] != '\0') len++;
    if (luaL_loadbuffer(L, *program, len, name) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        fprintf(stderr, "%s: %s\n", name, lua_tostring(L, -1));
        abort();
    }
    return NULL;
}

int main(void) {
    pthread_t threads[N_PROGRAMS];
    for (int i = 0; i < N_PROGRAMS; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)(size_t)&PROGRAMS[i]) != 0) return 1;
    usleep(500000); /* all are where they stay */
    puts(".");
    fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}
