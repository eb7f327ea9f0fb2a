#include "line_program.h"

#include "raw_field.h"

/*
 * The one thing that our hook changes for another: with call events on, LuaJIT leaves the PC of a called C function in
 * the caller's C frame (vm_x64.dasc, vm_callhook), and so finds itself on a new line when it returns
 * (lj_dispatch.c, lj_dispatch_ins). A hook without call events would not see that line event, so it is held back; but
 * not where there is one without us as well:
 *   - when a fast function, such as pcall, has run a function in Lua in the same C frame. lua_tocfunction tells fast
 *     functions: it gives NULL for them.
 *   - when the call has yielded, for a coroutine is resumed with a new C frame: after coroutine.yield, and where another
 *     coroutine had events meanwhile; the functions that resume one save the PC themselves (vm_x64.dasc,
 *     coroutine_resume_wrap).
 * What cannot be told from outside: a C function that yields to a host which runs no Lua before it resumes, and the slow
 * path of a fast function. There the next line event of that frame at that line is held back, whatever its cause: the
 * program's hook may see a line once less, never a wrong one.
 */

void line_program_open(line_program *p, lua_State *L) {
    raw_loaded(L, "coroutine");
    raw_field(L, "yield");
    p->yield = lua_topointer(L, -1);
    lua_pop(L, 1);
}

void line_program_take(line_program *p, lua_State *L) {
    atomic_store(&p->mask, lua_gethookmask(L));
    atomic_store(&p->count, lua_gethookcount(L));
    atomic_store(&p->hook, lua_gethook(L));
    atomic_store(&p->left, lua_gethookcount(L));
}

void line_program_give_back(line_program *p, lua_State *L) {
    lua_sethook(L, atomic_load(&p->hook), atomic_load(&p->mask), atomic_load(&p->count));
    atomic_store(&p->hook, NULL);
    atomic_store(&p->mask, 0);
    visits_clear(&p->calls);
}

bool line_program_counts(const line_program *p) {
    return (atomic_load(&p->mask) & LUA_MASKCOUNT) != 0;
}

static int depth_of(const lua_Debug *ar) {
    return ar->i_ci & 0xffff;
}

/* A function is called: if it is not in Lua, note the line of its caller. */
static void note_call(line_program *p, lua_State *L, const lua_Debug *ar) {
    lua_Debug callee = *ar, caller;
    visits_close_from(&p->calls, L, depth_of(ar));
    lua_getinfo(L, "Sf", &callee);
    bool fast = lua_tocfunction(L, -1) == NULL, yield = lua_topointer(L, -1) == p->yield;
    lua_pop(L, 1);
    if (*callee.what != 'C' || !lua_getstack(L, 1, &caller)) return;
    lua_getinfo(L, "l", &caller);
    visit *v = visits_find(&p->calls, L, depth_of(&caller));
    if (v != NULL) visits_close(&p->calls, v);
    if (!yield) visits_open(&p->calls, L, depth_of(&caller), caller.currentline, fast);
}

/* Whether this line event is the return of a noted call, and there on our account alone. */
static bool is_extra(line_program *p, lua_State *L, const lua_Debug *ar) {
    int depth = depth_of(ar);
    visit *v = visits_find(&p->calls, L, depth);
    bool extra = false;
    if (v != NULL) {
        bool fast = v->loops;
        extra = v->line == ar->currentline && p->last == L && !(fast && v->away);
        visits_close(&p->calls, v);
    }
    visits_mark_away(&p->calls, L, depth);
    return extra;
}

lua_Hook line_program_wants(line_program *p, lua_State *L, const lua_Debug *ar) {
    lua_Hook hook = atomic_load_explicit(&p->hook, memory_order_relaxed);
    int mask = atomic_load_explicit(&p->mask, memory_order_relaxed);
    if (hook == NULL) return NULL;
    if ((mask & (LUA_MASKLINE | LUA_MASKCALL)) == LUA_MASKLINE && ar->event != LUA_HOOKCOUNT) {
        bool extra = ar->event == LUA_HOOKLINE && is_extra(p, L, ar);
        if (ar->event == LUA_HOOKCALL) note_call(p, L, ar);
        p->last = L;
        if (extra) return NULL;
    }
    if ((mask & (1 << ar->event)) == 0) return NULL;
    if (ar->event == LUA_HOOKCOUNT) {
        int left = atomic_load_explicit(&p->left, memory_order_relaxed) - 1;
        bool due = left <= 0;
        if (due) left = atomic_load_explicit(&p->count, memory_order_relaxed);
        atomic_store_explicit(&p->left, left, memory_order_relaxed);
        if (!due) return NULL;
    }
    return hook;
}
