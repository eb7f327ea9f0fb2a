/*
 * The portable engine: a debug hook in C, with the JIT compiler off while anything is armed. Public API only, with one
 * addition: lua_Debug.i_ci, which <lua.h> calls private, tells frames apart. In a hook its lower 16 bits are the
 * frame's offset in the coroutine's stack (lj_dispatch.c, callhook; lj_debug.c, lua_getstack; the same in 2.0 and 2.1).
 *
 * While armed LuaJIT compiles nothing and runs no compiled code, so the blacklisting of callers that LuaJIT does when
 * recordings fail cannot happen: with the compiler off loops and calls are not counted (lj_dispatch.c,
 * lj_dispatch_update). When the last hook goes the compiler is switched on again and everything compiles anew.
 *
 * Not hit by this engine: code run by __gc finalizers, where LuaJIT calls no debug hooks (lj_gc.c, gc_call_finalizer).
 */
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "code_search.h"
#include "engine.h"
#include "line_bound.h"
#include "line_jit.h"
#include "line_program.h"
#include "line_threads.h"
#include "ljinspect.h"
#include "visits.h"
#include "wake.h"

enum {
    EVENTS = LUA_MASKLINE | LUA_MASKCALL | LUA_MASKRET,
    JIT_CHECK_LINES = 4096, /* how many looks at matching lines between looks at the compiler's state */
    PRESENT_FRAMES_MAX = 200
};

typedef struct line_engine {
    engine base;
    int slot; /* which debug hook function is this engine's; SLOTS: the one that looks its engine up */
    size_t arms;
    bool watching;
    bool calling; /* a C function of our own */
    bool in_hit;
    atomic_bool bound; /* line_bound() is in force: the debug hook is not ours for the time being */
    unsigned looks;
    line_jit jit;
    wake_aid wake;
    visits visits;
    line_threads threads;
    line_program program;
} line_engine;

/* ---- One debug hook function per engine, so that an event finds its engine without a look-up ---- */

static void on_event(line_engine *e, lua_State *L, lua_Debug *ar);

enum { SLOTS = 64 };
static _Atomic(line_engine *) slots[SLOTS];
/* Registry: a userdata with the engine's address, for VMs that came when all slots were taken. */
enum { ENGINE_KEY = -0x6c6a6903 };

#define HOOK(n)                                                                    \
    static void hook_##n(lua_State *L, lua_Debug *ar) {                            \
        line_engine *e = atomic_load_explicit(&slots[0##n], memory_order_acquire); \
        if (e != NULL) on_event(e, L, ar);                                         \
    }
#define HOOKS_8(n) HOOK(n##0) HOOK(n##1) HOOK(n##2) HOOK(n##3) HOOK(n##4) HOOK(n##5) HOOK(n##6) HOOK(n##7)
#define NAMES_8(n) \
    hook_##n##0, hook_##n##1, hook_##n##2, hook_##n##3, hook_##n##4, hook_##n##5, hook_##n##6, hook_##n##7

/* Octal numbers: 00 to 077. */
HOOKS_8(0)
HOOKS_8(1)
HOOKS_8(2)
HOOKS_8(3)
HOOKS_8(4)
HOOKS_8(5)
HOOKS_8(6)
HOOKS_8(7)

static void hook_any(lua_State *L, lua_Debug *ar) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ENGINE_KEY);
    line_engine *const *box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (box != NULL && *box != NULL) on_event(*box, L, ar);
}

static const lua_Hook hook_functions[SLOTS + 1] = {NAMES_8(0), NAMES_8(1), NAMES_8(2), NAMES_8(3), NAMES_8(4),
                                                   NAMES_8(5), NAMES_8(6), NAMES_8(7), hook_any};

static void take_slot(line_engine *e) {
    for (e->slot = 0; e->slot < SLOTS; e->slot++) {
        line_engine *none = NULL;
        if (atomic_compare_exchange_strong(&slots[e->slot], &none, e)) return;
    }
}

static void leave_slot(line_engine *e) {
    if (e->slot < SLOTS) atomic_store(&slots[e->slot], NULL);
}

/* ---- Putting the debug hook in and out ---- */

static bool installed(const line_engine *e, lua_State *L) {
    return lua_gethook(L) == hook_functions[e->slot];
}

/* What the VM must call us for. Every instruction counts while a visit of a one-line loop is open, where the program has
 * a count hook of its own, and while nothing is armed but a safepoint wanted: a program that is compiled as a whole may
 * come to the interpreter for a single instruction, which is no new line. */
static void set_events(line_engine *e, lua_State *L) {
    int mask = EVENTS, count = 0;
    if (e->arms == 0 || e->visits.looping > 0 || line_program_counts(&e->program)) {
        mask |= LUA_MASKCOUNT;
        count = 1;
    }
    if (!installed(e, L) || lua_gethookmask(L) != mask || lua_gethookcount(L) != count)
        lua_sethook(L, hook_functions[e->slot], mask, count);
}

/*
 * Put our hook in, before the one that the program has set. LuaJIT calls lua_sethook asynchronous, but it reads and writes
 * the hook mask, the JIT state and the dispatch table without a lock (lj_dispatch.c: lua_sethook, lj_dispatch_update): from
 * another thread, while the VM runs, it could leave the mask of a finalizer in force for good. So the watcher's thread
 * calls this only while the VM's thread sleeps in a system call.
 */
static void install(line_engine *e, lua_State *L) {
    if (atomic_load(&e->bound)) return;
    if (!installed(e, L)) line_program_take(&e->program, L);
    set_events(e, L);
}

static void uninstall(line_engine *e, lua_State *L) {
    if (installed(e, L)) line_program_give_back(&e->program, L);
    visits_clear(&e->visits);
    line_threads_clear(&e->threads);
}

/* Nothing is armed any more: give the VM back, as soon as it lets us. */
static void finish(line_engine *e, lua_State *L) {
    e->base.unfinished = line_jit_restore(&e->jit, L) != 0;
    if (!e->base.unfinished) uninstall(e, L);
}

/* ---- Events ---- */

static int depth_of(const lua_Debug *ar) {
    return ar->i_ci & 0xffff;
}

/* A hook that is being set; its table does not hold it yet. */
typedef struct key {
    const char *file;
    size_t file_len;
    int line;
} key;

/* Frames of L, from `level` up, that are on the line of `k`, or of any hook where that is NULL, did not arrive at it
 * after the hook was set: open their visits, so that the return of the call they are in is no hit. */
static void mark_present(line_engine *e, lua_State *L, int level, const key *k) {
    lua_Debug ar;
    for (int last = level + PRESENT_FRAMES_MAX; level < last && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        int line = ar.currentline, depth = depth_of(&ar);
        if (line <= 0 || (k != NULL && k->line != line)) continue;
        size_t len = strlen(ar.source);
        bool hooked = k != NULL ? hooks_suffix(ar.source, len, k->file, k->file_len)
                                : hooks_matches(*e->base.host.table, ar.source, len, line);
        if (hooked && visits_find(&e->visits, L, depth) == NULL)
            visits_open(&e->visits, L, depth, line, line_jit_loops(&e->jit, L, &ar, line));
    }
}

/* A coroutine has its first event since a hook was set. If that is no call it was suspended, in calls made on the lines
 * where its frames are; LuaJIT sends a line event when it goes on. (Or it has resumed the one that set the hook: then
 * this may be a new line, and if it is hooked this one arrival is missed.) */
static void on_new_thread(line_engine *e, lua_State *L, const lua_Debug *ar) {
    mark_present(e, L, ar->event == LUA_HOOKCALL ? 1 : 0, NULL);
}

/* What is due beside hits: a waiting change, the end. */
static void attend(line_engine *e, lua_State *L) {
    if (atomic_exchange(&e->wake.requested, false)) e->base.host.safepoint(e->base.host.owner, L);
    if (e->arms == 0) finish(e, L);
}

/* Control is at a line that hooks name, or visits are open. */
static void on_line(line_engine *e, lua_State *L, const lua_Debug *ar) {
    int line = ar->currentline, depth = depth_of(ar);
    visit *v = visits_find(&e->visits, L, depth);
    if (v != NULL && v->line == line) {
        bool again = v->loops && !v->returned;
        v->returned = false;
        if (!again) return;
    } else if (v != NULL) {
        visits_close(&e->visits, v);
        v = NULL;
    }
    if (!hooks_has_line(*e->base.host.table, line)) return;
    lua_Debug info = *ar;
    lua_getinfo(L, "S", &info);
    size_t source_len = strlen(info.source);
    if (!hooks_matches(*e->base.host.table, info.source, source_len, line)) return;
    if (++e->looks % JIT_CHECK_LINES == 0) line_jit_recheck(&e->jit, L);
    /* Without memory for a visit a return to this line may count as an arrival; no hit is lost. */
    if (v == NULL) visits_open(&e->visits, L, depth, line, line_jit_loops(&e->jit, L, ar, line));
    e->in_hit = true;
    e->base.host.hit(e->base.host.owner, L, info.source, source_len, line);
    e->in_hit = false;
}

/* Whether this is a moment at which anything may be done: an instruction or a call, of a C function too, for code that is
 * compiled as a whole shows nothing else. Not while the engine itself calls into Lua: that is a call like any other, in
 * the midst of what the engine does. */
static bool is_safepoint(const line_engine *e, const lua_Debug *ar) {
    return ar->event != LUA_HOOKRET && !e->calling && !e->jit.calling;
}

static void on_own_event(line_engine *e, lua_State *L, const lua_Debug *ar) {
    if (e->arms == 0 || atomic_load_explicit(&e->wake.requested, memory_order_relaxed)) {
        if (is_safepoint(e, ar)) attend(e, L);
        if (e->arms == 0) return;
    }
    if (line_threads_is_new(&e->threads, L)) on_new_thread(e, L, ar);
    switch (ar->event) {
    case LUA_HOOKLINE:
        if (e->visits.count == 0 && !hooks_has_line(*e->base.host.table, ar->currentline)) return;
        on_line(e, L, ar);
        break;
    case LUA_HOOKCOUNT:
        if (e->visits.looping > 0) visits_step(&e->visits, L, depth_of(ar));
        return;
    default: /* a call takes a stack slot, a return leaves it */
        if (e->visits.count == 0) return;
        visits_close_from(&e->visits, L, depth_of(ar));
        /* A call of a C function runs no instruction of another frame, but with call events on there is a line event
         * when it returns: vm_callhook leaves the callee's PC in the C frame (vm_x64.dasc). Yields come so too. */
        if (ar->event == LUA_HOOKCALL && e->visits.looping > 0) visits_step(&e->visits, L, depth_of(ar));
        break;
    }
    if (e->arms > 0 && installed(e, L)) set_events(e, L);
}

/* The program's hook runs last: it may raise an error or yield, and then nothing of ours is left undone. It is asked for
 * first: this event is its own even if we give the hook back meanwhile. */
static void on_event(line_engine *e, lua_State *L, lua_Debug *ar) {
    if (e->in_hit) return; /* line_bound.h: a hit's own events may be sent */
    lua_Hook program = line_program_wants(&e->program, L, ar);
    e->base.at_work++; /* looking for a loop allocates */
    on_own_event(e, L, ar);
    e->base.at_work--;
    if (program != NULL) program(L, ar);
}

/* ---- The interface ---- */

static bool line_cycle(void *line, lua_State *L) {
    line_engine *e = line;
    if (e->base.host.change_waiting(e->base.host.owner)) atomic_store(&e->wake.requested, true);
    if (e->arms > 0 || atomic_load(&e->wake.requested)) install(e, L);
    return e->arms > 0 || e->watching;
}

static engine *line_open(lua_State *L, const engine_host *host) {
    line_jit jit;
    line_program program = {.yield = NULL};
    line_engine **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    lua_rawseti(L, LUA_REGISTRYINDEX, ENGINE_KEY);
    line_program_open(&program, L);
    line_jit_open(&jit, L);
    line_engine *e = calloc(1, sizeof *e);
    if (e == NULL) {
        line_jit_close(&jit, L);
        luaL_error(L, "not enough memory");
    }
    *box = e;
    e->base.class = &engine_line;
    e->base.host = *host;
    e->jit = jit;
    e->program.yield = program.yield;
    e->wake.cycle = line_cycle;
    e->wake.engine = e;
    take_slot(e);
    wake_here(&e->wake);
    return &e->base;
}

static void line_close(engine *base, lua_State *L, bool closing) {
    line_engine *e = (line_engine *)base;
    wake_stop_cycle(&e->wake);
    if (!closing) line_jit_restore(&e->jit, L);
    uninstall(e, L);
    leave_slot(e);
    line_jit_close(&e->jit, L);
    lua_pushnil(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, ENGINE_KEY);
    free(e);
}

static int start_cycle(lua_State *L) {
    wake_start_cycle(lua_touserdata(L, 1), L);
    return 0;
}

/* Each garbage collection looks whether a change waits, and whether the program has set another debug hook. */
static void keep_cycle(line_engine *e, lua_State *L) {
    if ((!e->watching && e->arms == 0) || e->wake.sentinel != NULL) return;
    e->calling = true;
    if (lua_cpcall(L, start_cycle, &e->wake) != 0) lua_pop(L, 1);
    e->calling = false;
}

static int line_arm(engine *base, lua_State *L, const char *file, size_t file_len, int line, int func) {
    line_engine *e = (line_engine *)base;
    (void)func;
    if (e->arms == 0 && !e->base.unfinished) {
        int error = line_jit_off(&e->jit, L);
        if (error != 0) return error;
    }
    e->base.unfinished = false;
    e->arms++;
    line_jit_forget(&e->jit);
    /* The topmost frame is a C function of ours, or what a debug hook has interrupted on its way to a line. */
    const key k = {.file = file, .file_len = file_len, .line = line};
    mark_present(e, L, 1, &k);
    line_threads_reset(&e->threads, L);
    install(e, L);
    keep_cycle(e, L);
    return 0;
}

static void line_disarm(engine *base, lua_State *L, const char *file, size_t file_len, int line) {
    line_engine *e = (line_engine *)base;
    (void)file, (void)file_len, (void)line;
    line_jit_forget(&e->jit);
    if (--e->arms == 0) finish(e, L);
}

static void line_locate(engine *base, lua_State *L, hook *const *hooks, size_t n, engine_place *places) {
    (void)base;
    code_search(L, hooks, n, places);
}

static void line_wake_vm(engine *base) {
    line_engine *e = (line_engine *)base;
    atomic_store(&e->wake.requested, true);
    if (lua_gethook(base->host.anchor) != hook_functions[e->slot] && wake_asleep(&e->wake))
        install(e, base->host.anchor);
}

static void line_wake_vm_here(engine *base) {
    line_engine *e = (line_engine *)base;
    atomic_store(&e->wake.requested, true);
    wake_here(&e->wake);
    install(e, base->host.anchor);
}

static void line_awake(engine *base, lua_State *L) {
    line_engine *e = (line_engine *)base;
    atomic_store(&e->wake.requested, false);
    if (e->arms == 0 && !e->base.unfinished) uninstall(e, L);
}

static void line_maintain(engine *base, lua_State *L) {
    line_engine *e = (line_engine *)base;
    wake_here(&e->wake);
    if (e->arms > 0) {
        line_jit_recheck(&e->jit, L);
        install(e, L); /* the program may have set another hook instead */
    } else if (e->base.unfinished) {
        finish(e, L);
    }
    keep_cycle(e, L);
}

static void line_watching(engine *base, lua_State *L, bool on) {
    line_engine *e = (line_engine *)base;
    e->watching = on;
    keep_cycle(e, L);
}

/* The program's own hook is called by us after the hit, and must run as a hook does: not interrupted by others. */
static bool line_bound(engine *base, lua_State *L, lua_Hook tick, int count) {
    line_engine *e = (line_engine *)base;
    if (!e->in_hit || !installed(e, L) || atomic_load(&e->program.hook) != NULL) return false;
    atomic_store(&e->bound, true);
    if (line_bound_begin(L, tick, count)) return true;
    atomic_store(&e->bound, false);
    return false;
}

static void line_unbound(engine *base, lua_State *L, lua_Hook tick) {
    line_engine *e = (line_engine *)base;
    bool ours = lua_gethook(L) == tick; /* else what runs has set a hook, which is the program's now */
    if (ours) lua_sethook(L, hook_functions[e->slot], EVENTS, 0);
    atomic_store(&e->bound, false);
    if (e->arms > 0 || !ours) install(e, L);
}

const engine_class engine_line = {
    .name = "line",
    .open = line_open,
    .close = line_close,
    .arm = line_arm,
    .disarm = line_disarm,
    .locate = line_locate,
    .wake = line_wake_vm,
    .wake_here = line_wake_vm_here,
    .awake = line_awake,
    .maintain = line_maintain,
    .watching = line_watching,
    .bound = line_bound,
    .unbound = line_unbound,
};
