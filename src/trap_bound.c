/*
 * Interrupting what a hook runs: a count hook of our own, in place of the program's, which is muted while filters run
 * (trap_hit.c). The compiler is off meanwhile, for a loop that is compiled while it runs would not come back.
 */
#include <luajit.h>

#include "trap.h"

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
    if (e->bound.jit) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
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
    if (e->bound.jit) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
}
