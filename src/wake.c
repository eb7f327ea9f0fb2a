#include "wake.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

typedef struct wake_sentinel {
    wake_aid *wake; /* NULL: stopped */
} wake_sentinel;

void wake_here(wake_aid *w) {
#ifdef __linux__
    int process = (int)getpid(), here = (int)syscall(SYS_gettid);
    int before = atomic_exchange(&w->thread, here);
    if (w->process == process && before != here) atomic_store(&w->wanders, true);
    if (w->process != process) atomic_store(&w->wanders, false); /* first call, or a child process */
    w->process = process;
#else
    (void)w;
#endif
}

/* proc(5), /proc/pid/stat: the state follows the name, which is in parentheses and may hold any byte. */
bool wake_asleep(const wake_aid *w) {
    char path[64], text[256];
    int thread = atomic_load(&w->thread);
    if (thread == 0 || atomic_load(&w->wanders)) return false;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && name_end[1] == ' ' && name_end[2] == 'S';
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
