/*
 * Interrupting what a hook runs: a count hook of our own, in place of the program's, which is muted while filters run
 * (trap_hit.c). The compiler is off meanwhile, for a loop that is compiled while it runs would not come back.
 */
#include <luajit.h>

#include "trap.h"

/*
 * lj_dispatch.c, lj_dispatch_update: switching the compiler on sets all hot counters to their start, and a program with a
 * hit every now and then would never get hot. lj_dispatch.h, GG_State: they stand before the dispatch table. That they
 * do is seen each time: afterwards all are equal.
 */
enum { HOT_COUNTERS = 64 }; /* HOTCOUNT_SIZE */

static void keep_counters(trap_engine *e) {
    memcpy(e->bound.hot, (const char *)e->v.dispatch - sizeof(e->bound.hot), sizeof(e->bound.hot));
}

static void put_counters_back(trap_engine *e) {
    uint16_t now[HOT_COUNTERS];
    memcpy(now, (const char *)e->v.dispatch - sizeof(now), sizeof(now));
    for (int i = 1; i < HOT_COUNTERS; i++) {
        if (now[i] != now[0]) return;
    }
    memcpy((char *)e->v.dispatch - sizeof(now), e->bound.hot, sizeof(now));
}

enum { HOOK_EVENTS = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };

static unsigned hookmask(const trap_engine *e) {
    return vm_u8(e->v.g, e->v.lay->g_hookmask);
}

bool trap_bound(engine *base, lua_State *L, lua_Hook tick, int count) {
    trap_engine *e = (trap_engine *)(void *)base;
    /* In a finalizer the compiler cannot be switched; in a debug hook of the program's no other is called. */
    if (!e->in_hit || e->bound.on || (hookmask(e) & (VM_HOOK_ACTIVE | VM_HOOK_GC | VM_HOOK_VMEVENT)) != 0) return false;
    e->bound.on = true;
    e->bound.hook = lua_gethook(L);
    e->bound.count = lua_gethookcount(L);
    memcpy(&e->bound.left, e->v.g + e->v.lay->g_hookcount, sizeof(e->bound.left));
    e->bound.jit = (vm_u8(e->v.g, e->v.lay->g_dispatchmode) & VM_MODE_JIT) != 0;
    if (e->bound.jit) {
        keep_counters(e);
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    }
    lua_sethook(L, tick, LUA_MASKCOUNT, count);
    return true;
}

void trap_unbound(engine *base, lua_State *L, lua_Hook tick) {
    trap_engine *e = (trap_engine *)(void *)base;
    if (!e->bound.on) return;
    e->bound.on = false;
    if (lua_gethook(L) == tick) { /* else the filter has set a hook, which stays */
        lua_sethook(L, e->bound.hook, e->muted, e->bound.count);
        memcpy(e->v.g + e->v.lay->g_hookcount, &e->bound.left, sizeof(e->bound.left));
        e->v.g[e->v.lay->g_hookmask] = (char)(hookmask(e) & ~(unsigned)HOOK_EVENTS);
    }
    if (!e->bound.jit || (vm_u8(e->v.g, e->v.lay->g_dispatchmode) & VM_MODE_JIT) != 0) return;
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    put_counters_back(e);
}
