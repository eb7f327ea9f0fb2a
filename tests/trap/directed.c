/*
 * Runs Lua tests of the trap engine (tests/trap/directed.lua): gives Lua the engine's calls.
 *   arm(line) disarm(line) -> error code      hits(line) -> number of hits so far
 *   on_hit(f): called as f(line) at each hit  maintain()
 *   wake(n): a thread wakes the VM until n safepoints were reached; woken() -> how many, and the longest wait in ms
 *   engine_close(), engine_open()
 *   open_table(): LuaJIT's table library once more, which is bytecode in part
 */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <lualib.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

enum { LINES = 4096 };

typedef struct world {
    engine *e;
    char source[256];
    uint64_t hits[LINES];
    int filter;
    uint64_t safepoints;
    atomic_int waiting, wanted, got;
    pthread_t thread;
    double longest_ms;
    struct timespec since;
    bool watching;
} world;

static int w_hit(void *owner, lua_State *L, const char *source, size_t len, int line) {
    world *w = owner;
    size_t n = strlen(w->source);
    if (len < n || memcmp(source + len - n, w->source, n) != 0) return 0;
    w->hits[line]++;
    if (w->filter != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, w->filter);
        lua_pushinteger(L, line);
        if (lua_pcall(L, 1, 0, 0) != 0) {
            fprintf(stderr, "filter: %s\n", lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    }
    return 1;
}

static void w_safepoint(void *owner, lua_State *L) {
    world *w = owner;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double ms = (double)(now.tv_sec - w->since.tv_sec) * 1e3 + (double)(now.tv_nsec - w->since.tv_nsec) / 1e6;
    if (ms > w->longest_ms) w->longest_ms = ms;
    w->safepoints++;
    if (luaL_dostring(L, "local t = {} for i = 1, 10 do t[i] = tostring(i) end return #t") == 0) lua_pop(L, 1);
    atomic_fetch_add(&w->got, 1);
    atomic_store(&w->waiting, 0);
    w->e->class->awake(w->e, L);
}

static bool w_waiting(void *owner) {
    return atomic_load(&((world *)owner)->waiting) != 0;
}

static void w_log(void *owner, lua_State *L, int level, const char *format, ...) {
    va_list args;
    (void)owner;
    (void)L;
    (void)level;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static hook_table *no_table;

static world *world_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int l_arm(lua_State *L) {
    world *w = world_of(L);
    const char *file = luaL_optstring(L, 2, w->source);
    lua_pushinteger(L, w->e->class->arm(w->e, L, file, strlen(file), luaL_checkint(L, 1), 0));
    return 1;
}

static int l_disarm(lua_State *L) {
    world *w = world_of(L);
    const char *file = luaL_optstring(L, 2, w->source);
    w->e->class->disarm(w->e, L, file, strlen(file), luaL_checkint(L, 1));
    return 0;
}

static int l_hits(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)world_of(L)->hits[luaL_checkint(L, 1)]);
    return 1;
}

static int l_on_hit(lua_State *L) {
    world *w = world_of(L);
    luaL_unref(L, LUA_REGISTRYINDEX, w->filter);
    w->filter = LUA_NOREF;
    if (lua_isfunction(L, 1)) {
        lua_settop(L, 1);
        w->filter = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

static int l_maintain(lua_State *L) {
    world_of(L)->e->class->maintain(world_of(L)->e, L);
    return 0;
}

static void *waker(void *arg) {
    world *w = arg;
    while (atomic_load(&w->got) < atomic_load(&w->wanted)) {
        clock_gettime(CLOCK_MONOTONIC, &w->since);
        atomic_store(&w->waiting, 1);
        for (int i = 0; i < 3000 && atomic_load(&w->waiting); i++) {
            w->e->class->wake(w->e);
            usleep(500);
        }
        if (atomic_load(&w->waiting)) break;
    }
    atomic_store(&w->wanted, 0);
    return NULL;
}

static int l_wake(lua_State *L) {
    world *w = world_of(L);
    w->longest_ms = 0;
    atomic_store(&w->got, 0);
    atomic_store(&w->wanted, luaL_checkint(L, 1));
    if (pthread_create(&w->thread, NULL, waker, w) != 0) return luaL_error(L, "no thread");
    return 0;
}

static int l_waking(lua_State *L) {
    lua_pushboolean(L, atomic_load(&world_of(L)->wanted) != 0);
    return 1;
}

static int l_woken(lua_State *L) {
    world *w = world_of(L);
    pthread_join(w->thread, NULL);
    w->e->class->awake(w->e, L);
    lua_pushinteger(L, atomic_load(&w->got));
    lua_pushnumber(L, w->longest_ms);
    return 2;
}

static int l_engine_close(lua_State *L) {
    world_of(L)->e->class->close(world_of(L)->e, L, false);
    world_of(L)->e = NULL;
    return 0;
}

static int l_engine_open(lua_State *L) {
    world *w = world_of(L);
    engine_host host = {.owner = w,
                        .table = &no_table,
                        .anchor = L,
                        .hit = w_hit,
                        .safepoint = w_safepoint,
                        .change_waiting = w_waiting,
                        .log = w_log};
    w->e = engine_trap.open(L, &host);
    if (w->e == NULL) return luaL_error(L, "refused");
    return 0;
}

/* As a host does in C; jit.on() is another way, which the engine stands in for. */
static int l_jit_on_by_host(lua_State *L) {
    lua_pushboolean(L, luaJIT_setmode(L, 1, LUAJIT_MODE_FUNC | LUAJIT_MODE_ON) != 0);
    return 1;
}

static int l_fork(lua_State *L) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int status = lua_pcall(L, 0, 1, 0);
        _exit(status == 0 && lua_toboolean(L, -1) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    lua_pushboolean(L, status == 0);
    return 1;
}

static int l_clock(lua_State *L) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

typedef int (*int_fn)(int);
__attribute__((visibility("default"))) int directed_call_back(int_fn f, int n);
int directed_call_back(int_fn f, int n) {
    int s = 0;
    for (int i = 0; i < n; i++) s += f(i);
    return s;
}

static int run_script(const char *script, const char *arg) {
    static const luaL_Reg functions[] = {{"arm", l_arm},
                                         {"jit_on_by_host", l_jit_on_by_host},
                                         {"disarm", l_disarm},
                                         {"hits", l_hits},
                                         {"on_hit", l_on_hit},
                                         {"maintain", l_maintain},
                                         {"wake", l_wake},
                                         {"waking", l_waking},
                                         {"woken", l_woken},
                                         {"fork", l_fork},
                                         {"open_table", luaopen_table},
                                         {"clock", l_clock},
                                         {"engine_close", l_engine_close},
                                         {"engine_open", l_engine_open},
                                         {NULL, NULL}};
    world *w = calloc(1, sizeof(*w));
    const char *slash = strrchr(script, '/');
    snprintf(w->source, sizeof(w->source), "%s", slash != NULL ? slash + 1 : script);
    w->filter = LUA_NOREF;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushlightuserdata(L, w);
        lua_pushcclosure(L, f->func, 1);
        lua_setglobal(L, f->name);
    }
    lua_pushlightuserdata(L, w);
    lua_pushcclosure(L, l_engine_open, 1);
    if (lua_pcall(L, 0, 0, 0) != 0) return 77;
    int rc = 0;
    if (luaL_loadfile(L, script) != 0 || (lua_pushstring(L, arg), lua_pcall(L, 1, 0, 0)) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        rc = 1;
    }
    if (w->e != NULL) w->e->class->close(w->e, L, false);
    lua_close(L);
    free(w);
    return rc;
}

static void *in_thread(void *script) {
    for (int i = 0; i < 5; i++) {
        if (run_script(script, "thread") != 0) return script;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    int rc = run_script(argv[1], "main");
    if (rc != 0) return rc;
    /* Several VMs at once */
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, in_thread, argv[1]);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        if (failed != NULL) rc = 1;
    }
    puts(rc == 0 ? "threads ok" : "threads FAILED");
    return rc;
}
