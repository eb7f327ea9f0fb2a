/*
 * What the program must not notice of traps, and what the engine must notice of the program: new functions (the
 * parser's "bc" event) and compilation (the "trace" event). trap_stand_in.c is the same for functions of the program's.
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

static const char CHAINED_BC[] = "ljinspect.bc", CHAINED_TRACE[] = "ljinspect.trace";

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

/*
 * A recording begins. Hooked functions must not be recorded, also where the program has switched the JIT on for one by
 * name meanwhile. And LuaJIT may give up on the loop it begins with, because it leads to a hooked function: remember
 * the function, unless it had given up on a loop of it before.
 */
static int recording(lua_State *L) {
    event_job *job = lua_touserdata(L, 1);
    trap_engine *e = job->e;
    const vm_layout *lay = e->v.lay;
    bool abort_it = false;
    luaL_checkstack(L, 10, "recording");
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i]; p != NULL; p = p->next_in_bucket) {
            if (!trap_alive(e, L, p) || (vm_u8(p->pt, VM_PT_FLAGS) & lay->flag_nojit) != 0) continue;
            ((uint8_t *)p->pt)[VM_PT_FLAGS] |= lay->flag_nojit;
            p->was_nojit = false;
            p->n_old_iloops = 0;
            abort_it = true;
        }
    }
    if (abort_it) trap_abort_recording(e, L);
    if (job->object == NULL) return 0;
    bool old = (vm_u8(job->object, VM_PT_FLAGS) & lay->flag_iloop) != 0;
    trap_push_part(e, L, TRAP_TRIED);
    vm_push_object(L, job->object, VM_TYPE_PROTO);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, !old);
        lua_rawset(L, -3);
    }
    return 0;
}

static int on_trace(lua_State *L) {
    event_job job = {.e = trap_engine_of(L)};
    if (job.e != NULL && lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "start") == 0) {
        if (lua_isfunction(L, 3)) job.object = vm_func_proto(job.e->v.lay, lua_topointer(L, 3));
        trap_step_finish(job.e);
        run(L, recording, &job);
    }
    return pass_on(L, CHAINED_TRACE);
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
    if (e->v.lay->has_jit) attach_one(e, L, e->v.lay->trace_event, CHAINED_TRACE, on_trace);
}

/* ---- First and last hook ----------------------------------------------------------------------------------------- */

/* LuaJIT tries again to compile what it gave up on meanwhile. */
static void retry_loops(trap_engine *e, lua_State *L) {
    const vm_layout *lay = e->v.lay;
    trap_push_part(e, L, TRAP_TRIED);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        uint64_t key;
        memcpy(&key, vm_top(L) - 16, sizeof(key));
        vm_proto *pt = (vm_proto *)(uintptr_t)(key & ((UINT64_C(1) << 47) - 1));
        if (vm_type_of(key) != VM_TYPE_PROTO || !lua_toboolean(L, -1)) continue;
        if ((vm_u8(pt, VM_PT_FLAGS) & lay->flag_nojit) == 0) trap_reenable(lay, pt, NULL, 0);
    }
    lua_pop(L, 1);
}

void trap_first_hook(trap_engine *e, lua_State *L) {
    trap_push_weak_table(L);
    trap_set_part(e, L, TRAP_TRIED);
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
    detach_one(e, L, e->v.lay->trace_event, CHAINED_TRACE, on_trace);
    trap_stand_back(e, L);
    retry_loops(e, L);
    trap_frames_free(&e->calls);
}
