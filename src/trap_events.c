/*
 * What the program must not notice of traps, and what the engine must notice of the program: new functions (the
 * parser's "bc" event), and loops that LuaJIT gave up on while there were hooks. trap_stand_in.c is the same for functions
 * of the program's.
 *
 * There is no handler of the "trace" event: where a program that has none of its own is concerned, LuaJIT must not find one
 * when it gives up a recording. Debian's of 2022-03 then looks for a function in Lua on the stack (lj_trace.c:
 * trace_abort), past its end in a coroutine that has left its only one by a tail call to a function in C.
 *
 * registry._VMEVENTS holds one handler per event (lib_jit.c: jit.attach). Ours stands in front of the program's, which
 * hangs in the same table under a name of ours, so that jit.attach(handler) finds and removes it there. Ours is put
 * back at safepoints where the program has replaced it.
 */
#include "trap.h"

#include <lauxlib.h>
#include <ljinspect.h>

/* ---- Handlers ---------------------------------------------------------------------------------------------------- */

typedef struct event_job {
    trap_engine *e;
    void *object; /* a prototype, or NULL */
    int rc;
} event_job;

/* Run `body`, and complain where that fails: an error that leaves a handler is printed by LuaJIT and is the program's.
 * */
static void run(lua_State *L, lua_CFunction body, event_job *job) {
    trap_engine *e = job->e;
    int rc = trap_protect(e, L, body, job);
    if (rc == 0) rc = job->rc;
    if (rc == 0) return;
    e->base.host.log(e->base.host.owner, L, LJINSPECT_WARN, "a new function could not be looked at: %s",
                     ljinspect_strerror(rc));
}

trap_engine *trap_engine_of(lua_State *L) {
    const char *why;
    const vm_layout *lay = vm_learn(&why);
    char *g = vm_ptr(L, VM_L_GLREF);
    vm v = {.lay = lay, .g = g, .dispatch = (uintptr_t *)(void *)(g + lay->g_dispatch)};
    return trap_vms_find(trap_vm_of(&v));
}

static void push_events(lua_State *L) {
    lua_pushliteral(L, VM_EVENTS_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* The program's handler gets the event as it is. */
static int pass_on(lua_State *L, const char *name) {
    push_events(L);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isfunction(L, -1)) return 0;
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static const char CHAINED_BC[] = "ljinspect.bc";

static int new_function(lua_State *L) {
    event_job *job = lua_touserdata(L, 1);
    luaL_checkstack(L, 10, "new function");
    job->rc = trap_hook_parsed(job->e, L, job->object);
    return 0;
}

static int on_bytecode(lua_State *L) {
    event_job job = {.e = trap_engine_of(L)};
    uint64_t value = 0;
    if (lua_gettop(L) >= 1) memcpy(&value, vm_base(L), sizeof(value));
    if (job.e != NULL && vm_type_of(value) == VM_TYPE_PROTO) {
        job.object = (void *)(uintptr_t)(value & ((UINT64_C(1) << 47) - 1));
        trap_settle(job.e);
        run(L, new_function, &job);
    }
    return pass_on(L, CHAINED_BC);
}

/* ---- Attach and detach ------------------------------------------------------------------------------------------- */

static void attach_one(trap_engine *e, lua_State *L, int event, const char *chained, lua_CFunction handler) {
    if (event == 0) return;
    push_events(L);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushliteral(L, VM_EVENTS_KEY);
        lua_pushvalue(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, -1, event);
    if (lua_tocfunction(L, -1) != handler) {
        lua_pushstring(L, chained);
        lua_insert(L, -2);
        lua_rawset(L, -3); /* nil where there was none */
        lua_pushcfunction(L, handler);
        lua_rawseti(L, -2, event);
        e->v.g[e->v.lay->g_vmevmask] = (char)VM_EVENTS_UNKNOWN;
    } else {
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void detach_one(trap_engine *e, lua_State *L, int event, const char *chained, lua_CFunction handler) {
    if (event == 0) return;
    push_events(L);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, event);
        if (lua_tocfunction(L, -1) == handler) {
            lua_pushstring(L, chained);
            lua_rawget(L, -3);
            lua_rawseti(L, -3, event);
            e->v.g[e->v.lay->g_vmevmask] = (char)VM_EVENTS_UNKNOWN;
        }
        lua_pushstring(L, chained);
        lua_pushnil(L);
        lua_rawset(L, -4);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void trap_watch_code(trap_engine *e, lua_State *L) {
    luaL_checkstack(L, 6, "events");
    attach_one(e, L, e->v.lay->bc_event, CHAINED_BC, on_bytecode);
}

/* ---- First and last hook ----------------------------------------------------------------------------------------- */

typedef struct given_up {
    trap_engine *e;
    lua_State *L; /* the table of them is on its top */
} given_up;

/* lua_rawset() allocates, but leaves the collector alone. */
static bool remember(void *object, void *arg) {
    given_up *g = arg;
    if ((vm_u8(object, VM_PT_FLAGS) & g->e->v.lay->flag_iloop) == 0) return true;
    vm_push_object(g->L, object, VM_TYPE_PROTO);
    lua_pushboolean(g->L, 1);
    lua_rawset(g->L, -3);
    return true;
}

static bool retry(void *object, void *arg) {
    given_up *g = arg;
    const vm_layout *lay = g->e->v.lay;
    uint8_t flags = vm_u8(object, VM_PT_FLAGS);
    if ((flags & lay->flag_iloop) == 0 || (flags & lay->flag_nojit) != 0) return true;
    vm_push_object(g->L, object, VM_TYPE_PROTO);
    lua_rawget(g->L, -2);
    if (lua_isnil(g->L, -1)) trap_reenable(lay, object, NULL, 0);
    lua_pop(g->L, 1);
    return true;
}

/* All functions, of which LuaJIT had given up on a loop before the first hook came, or did so since because it leads to a
 * hooked function: these loops it shall try again. */
static void visit_functions(trap_engine *e, lua_State *L, vm_visit_fn visit) {
    given_up g = {.e = e, .L = L};
    if (!e->v.lay->has_jit) return;
    uint8_t white = vm_gc_white(L);
    lua_pop(L, 1);
    trap_push_part(e, L, TRAP_GIVEN_UP);
    vm_walk(&e->v, white, VM_TYPE_PROTO, NULL, visit, &g);
    lua_pop(L, 1);
}

void trap_first_hook(trap_engine *e, lua_State *L) {
    trap_push_weak_table(L);
    trap_set_part(e, L, TRAP_GIVEN_UP);
    visit_functions(e, L, remember);
    lua_createtable(L, 0, 0);
    e->begin = e->sentinel = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    trap_set_part(e, L, TRAP_BEGIN);
    trap_set_part(e, L, TRAP_SENTINEL);
    trap_watch_code(e, L);
    trap_stand_in(e, L);
}

void trap_last_hook(trap_engine *e, lua_State *L) {
    luaL_checkstack(L, 6, "last hook");
    detach_one(e, L, e->v.lay->bc_event, CHAINED_BC, on_bytecode);
    trap_stand_back(e, L);
    visit_functions(e, L, retry);
    trap_frames_free(&e->calls);
}
