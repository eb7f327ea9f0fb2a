#include "wake.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "own_threads.h"

#ifdef __linux__
#include <sys/syscall.h>
#endif

typedef struct wake_sentinel {
    wake_aid *wake; /* NULL: stopped */
} wake_sentinel;

void wake_here(wake_aid *w) {
#ifdef __linux__
    atomic_store(&w->thread, (int)syscall(SYS_gettid));
#else
    (void)w;
#endif
}

/* proc(5), /proc/pid/stat: the name is in parentheses and may hold any byte; field 3 behind it is the state, field 20 how many
 * threads the process has. A space is before each. */
static bool asleep_among(int thread, unsigned threads) {
    char path[64], text[512], *end;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] != 'S') return false;
    for (int field = 3; field <= 20; field++) {
        at = strchr(at + 1, ' ');
        if (at == NULL) return false;
    }
    unsigned long there = strtoul(at + 1, &end, 10);
    return *end == ' ' && there == threads;
}

bool wake_asleep(const wake_aid *w) {
    uint64_t before, after;
    int thread = atomic_load(&w->thread);
    if (thread == 0) return false;
    unsigned own = own_threads(&before);
    if (!asleep_among(thread, own + 1)) return false;
    (void)own_threads(&after);
    return before == after;
}

static int sentinel_gc(lua_State *L);

/* Push a new sentinel and drop it: nothing refers to it, so the next collection finds it. */
static void make_sentinel(lua_State *L, wake_aid *w) {
    wake_sentinel *s = lua_newuserdata(L, sizeof *s);
    s->wake = NULL;
    luaL_newmetatable(L, "ljinspect.sentinel");
    lua_getfield(L, -1, "__gc");
    bool complete = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!complete) { /* new, or memory ran out here once */
        lua_pushcfunction(L, sentinel_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    if (w->sentinel != NULL) return; /* made by a finalizer meanwhile; a second would not be stopped */
    s->wake = w;
    w->sentinel = s;
}

static int make_successor(lua_State *L) {
    make_sentinel(L, lua_touserdata(L, 1));
    return 0;
}

/* An error here would be raised in whatever the program was doing (lj_gc.c, gc_call_finalizer): there must be none. */
static int sentinel_gc(lua_State *L) {
    wake_aid *w = ((wake_sentinel *)lua_touserdata(L, 1))->wake;
    if (w == NULL) return 0;
    w->sentinel = NULL;
    wake_here(w);
    if (w->cycle(w->engine, L) && w->sentinel == NULL && lua_cpcall(L, make_successor, w) != 0) lua_pop(L, 1);
    return 0;
}

void wake_start_cycle(wake_aid *w, lua_State *L) {
    if (w->sentinel == NULL) make_sentinel(L, w);
}

void wake_stop_cycle(wake_aid *w) {
    if (w->sentinel != NULL) w->sentinel->wake = NULL;
    w->sentinel = NULL;
}
