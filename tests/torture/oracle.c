#include "oracle.h"

#include <lauxlib.h>
#include <luajit.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The count hook, with a count of 1, tells of each instruction before it is executed; the line hook, right after that,
 * whether LuaJIT takes it for a new line (lj_dispatch.c: lj_dispatch_ins): that is so if it is not behind the
 * instruction before, or on another line. But "the instruction before" is whatever ran last in this C frame, so after a
 * call the answer means nothing. Hence the rule, per frame:
 *   the first instruction after a call hook arrives;
 *   an instruction on another line than the frame's last one arrives;
 *   one on the same line arrives if LuaJIT says so and no other function ran in between: a loop inside the line.
 * A frame is known by its coroutine and its place on the stack (`i_ci`, which lua_getinfo goes by). Coroutines that are
 * gone do no harm: whatever runs at their address begins with a call.
 */
typedef struct frame {
    const lua_State *L;
    int place;
    int line;
} frame;

typedef struct thread {
    const lua_State *L;
    int last;   /* the frame that the last instruction belonged to; -1: a C function ran since */
    bool fresh; /* a Lua function was called just now */
} thread;

enum { FRAMES = 1 << 18, THREADS = 1 << 14, NONE = -1 };

static frame frames[FRAMES];
static thread threads[THREADS];
static size_t n_frames, n_threads;
static oracle_arrival report;
static int funcinfo;   /* in the registry */
static bool same_line; /* the instruction at hand arrives if the line hook says so */

static void give_up(const char *what) {
    fprintf(stderr, "oracle: too many %s\n", what);
    exit(2);
}

static frame *frame_at(const lua_State *L, int place) {
    size_t i = (((uintptr_t)L >> 4) * 0x9e3779b97f4a7c15u + (size_t)place * 0xff51afd7ed558ccdu) >> 46;
    while (frames[i % FRAMES].L != NULL && (frames[i % FRAMES].L != L || frames[i % FRAMES].place != place)) i++;
    frame *f = &frames[i % FRAMES];
    if (f->L == NULL) {
        if (++n_frames > FRAMES / 2) give_up("frames");
        *f = (frame){.L = L, .place = place, .line = NONE};
    }
    return f;
}

static thread *thread_of(const lua_State *L) {
    size_t i = (((uintptr_t)L >> 4) * 0x9e3779b97f4a7c15u) >> 50;
    while (threads[i % THREADS].L != NULL && threads[i % THREADS].L != L) i++;
    thread *t = &threads[i % THREADS];
    if (t->L == NULL) {
        if (++n_threads > THREADS / 2) give_up("coroutines");
        *t = (thread){.L = L, .last = NONE};
    }
    return t;
}

static void on_event(lua_State *L, lua_Debug *ar) {
    static const char *source; /* the function runs, so its name is still there at the line event */
    thread *t = thread_of(L);
    switch (ar->event) {
    case LUA_HOOKCALL:
        lua_getinfo(L, "S", ar);
        t->fresh = ar->what[0] != 'C';
        t->last = NONE;
        break;
    case LUA_HOOKCOUNT: {
        frame *f = frame_at(L, ar->i_ci);
        lua_getinfo(L, "Sl", ar);
        bool away = t->last != ar->i_ci, arrives = t->fresh || ar->currentline != f->line;
        if (arrives) report(ar->source, ar->currentline);
        source = ar->source;
        same_line = !arrives && !away;
        t->fresh = false;
        t->last = ar->i_ci;
        f->line = ar->currentline;
        break;
    }
    case LUA_HOOKLINE:
        if (same_line) report(source, ar->currentline);
        same_line = false;
        break;
    default: break;
    }
}

/* A return of a function in Lua: on which line its code begins says jit.util. */
static void on_return(lua_State *L, lua_Debug *ar) {
    lua_getinfo(L, "fS", ar);
    if (*ar->what != 'C') {
        lua_rawgeti(L, LUA_REGISTRYINDEX, funcinfo);
        lua_pushvalue(L, -2);
        lua_pushinteger(L, 1);
        lua_call(L, 2, 1);
        lua_getfield(L, -1, "currentline");
        report(ar->source, (int)lua_tointeger(L, -1));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

static void interpret(lua_State *L) {
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH); /* what is compiled would still run */
}

void oracle_start_returns(lua_State *L, oracle_arrival arrival) {
    report = arrival;
    interpret(L);
    if (luaL_loadstring(L, "return require('jit.util').funcinfo") != 0 || lua_pcall(L, 0, 1, 0) != 0) {
        fprintf(stderr, "oracle: %s\n", lua_tostring(L, -1));
        exit(2);
    }
    funcinfo = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_sethook(L, on_return, LUA_MASKRET, 0);
}

void oracle_start(lua_State *L, oracle_arrival arrival) {
    report = arrival;
    interpret(L);
    lua_sethook(L, on_event, LUA_MASKCALL | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void oracle_stop(lua_State *L) {
    lua_sethook(L, NULL, 0, 0);
}
