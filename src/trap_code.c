/*
 * Finding code to hook, and what must know of traps: the parser's "bc" event, string.dump, the collector, the JIT.
 *
 * The registry holds one table per engine, under the engine's address:
 *   PROTOS     weak keys: the hooked functions. One that is missing was freed: its address may be another's by now
 *   ANCHOR     {function}: the one stepped over last, so that a step never ends in freed memory
 *   SENTINEL   a table that was new at the last search; what is in front of it in the list of objects is newer
 *   OLD_LOOPS  weak keys: functions in which LuaJIT had given up on a loop before the first hook came
 */
#include "trap.h"

#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <stdlib.h>

enum { PROTOS = 1, ANCHOR = 2, SENTINEL = 3, OLD_LOOPS = 4 };

static const char CHAINED[] = "ljinspect.bc"; /* the program's handler, where jit.attach(handler) finds and removes it */

static void push_part(trap_engine *e, lua_State *L, int part) {
    lua_pushlightuserdata(L, e);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, -1, part);
    lua_remove(L, -2);
}

/* Pops the new value. */
static void set_part(trap_engine *e, lua_State *L, int part) {
    lua_pushlightuserdata(L, e);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_insert(L, -2);
    lua_rawseti(L, -2, part);
    lua_pop(L, 1);
}

static void push_weak_table(lua_State *L) {
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void trap_code_open(trap_engine *e, lua_State *L) {
    lua_pushlightuserdata(L, e);
    lua_createtable(L, 4, 0);
    push_weak_table(L);
    lua_rawseti(L, -2, PROTOS);
    lua_createtable(L, 1, 0);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, 1);
    lua_rawseti(L, -2, ANCHOR);
    lua_createtable(L, 0, 0);
    lua_rawseti(L, -2, SENTINEL);
    push_weak_table(L);
    lua_rawseti(L, -2, OLD_LOOPS);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void trap_code_close(trap_engine *e, lua_State *L) {
    lua_pushlightuserdata(L, e);
    lua_pushnil(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

bool trap_alive(trap_engine *e, lua_State *L, const trap_proto *p) {
    push_part(e, L, PROTOS);
    vm_push_object(L, p->pt, VM_TYPE_PROTO);
    lua_rawget(L, -2);
    bool alive = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return alive;
}

void trap_anchor(trap_engine *e, lua_State *L, const vm_proto *pt) {
    push_part(e, L, ANCHOR);
    vm_push_object(L, pt, VM_TYPE_PROTO);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    e->step_anchor = pt;
}

/* ---- The JIT compiler -------------------------------------------------------------------------------------------- */

static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

/* An aborted recording ends only at the next dispatch, and then may still rewrite the instruction it began with
 * (lj_trace.c: penalty_pc). Let that happen before a trap stands there. */
static bool settle_recorder(trap_engine *e, lua_State *L) {
    const uint8_t *mode = (const uint8_t *)e->v.g + e->v.lay->g_dispatchmode;
    if ((*mode & VM_MODE_REC) == 0) return true;
    trap_abort_recording(e, L);
    lua_pushcfunction(L, nothing);
    if (lua_pcall(L, 0, 0, 0) != 0) lua_pop(L, 1);
    return (*mode & VM_MODE_REC) == 0;
}

/* luaJIT_setmode() raises an error inside a finalizer, which compiled code may have called. */
int trap_drop_traces(trap_engine *e, lua_State *L) {
    if (!e->v.lay->has_jit) return 0;
    if ((vm_u8(e->v.g, e->v.lay->g_hookmask) & (VM_HOOK_GC | VM_HOOK_VMEVENT)) != 0) return LJINSPECT_ERR_BUSY;
    if (!settle_recorder(e, L)) return LJINSPECT_ERR_BUSY;
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    return 0;
}

/* ---- Search ------------------------------------------------------------------------------------------------------ */

typedef struct search {
    trap_engine *e;
    const trap_key *key;
    vm_proto **found;
    size_t n, room;
} search;

static bool collect(void *object, void *arg) {
    search *s = arg;
    const trap_engine *e = s->e;
    const trap_key *keys = s->key != NULL ? s->key : e->keys;
    size_t n = s->key != NULL ? 1 : e->n_keys;
    for (size_t i = 0; i < n; i++) {
        if (!trap_key_matches(&keys[i], object)) continue;
        if (s->n < s->room) s->found[s->n] = object;
        s->n++;
        break;
    }
    return true;
}

/* Hook one function or bring it up to date; `fresh` says that it was not hooked. */
static trap_proto *enlist(trap_engine *e, lua_State *L, vm_proto *pt, bool *fresh) {
    trap_proto *p = trap_find_proto(e, pt);
    if (p != NULL && !trap_alive(e, L, p)) {
        trap_drop_proto(e, p, false);
        p = NULL;
    }
    if (p != NULL) return p;
    push_part(e, L, PROTOS);
    vm_push_object(L, pt, VM_TYPE_PROTO);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    *fresh = true;
    return trap_add_proto(e, pt);
}

static int hook_found(trap_engine *e, lua_State *L, const search *s) {
    bool fresh = false;
    for (size_t i = 0; i < s->n; i++) {
        if (enlist(e, L, s->found[i], &fresh) == NULL) return LJINSPECT_ERR_NOMEM;
    }
    int rc = fresh ? trap_drop_traces(e, L) : 0;
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        trap_proto *p = trap_find_proto(e, s->found[i]);
        if (p == NULL) continue; /* a finalizer unset its hooks meanwhile */
        rc = trap_replan(e, p);
        if (rc != LJINSPECT_ERR_ENGINE) continue;
        size_t len;
        const char *source = vm_proto_source(p->pt, &len);
        e->base.host.log(e->base.host.owner, L, LJINSPECT_WARN,
                         "%.*s:%d: a function here holds bytecode that is not understood; its hooks are not hit",
                         (int)len, source, vm_proto_first_line(p->pt));
        trap_drop_proto(e, p, true);
        rc = 0;
    }
    return rc;
}

/* The functions found hang in a table while memory is allocated: the collector may run. */
int trap_search(trap_engine *e, lua_State *L, const trap_key *key, bool fresh) {
    search s = {.e = e, .key = key};
    const void *stop = fresh ? e->sentinel : NULL;
    int top = lua_gettop(L), rc;
    luaL_checkstack(L, 10, "search");
    uint8_t white = vm_gc_white(L);
    const void *sentinel = lua_topointer(L, -1);
    vm_walk(&e->v, white, VM_TYPE_PROTO, stop, collect, &s);
    if (s.n > 0) {
        s.room = s.n + 16;
        s.n = 0;
        s.found = lua_newuserdata(L, s.room * sizeof(*s.found));
        lua_createtable(L, (int)s.room, 0);
        white = vm_u8(lua_topointer(L, -1), VM_GC_MARKED) & 3;
        vm_walk(&e->v, white, VM_TYPE_PROTO, stop, collect, &s);
        if (s.n > s.room) s.n = s.room;
        for (size_t i = 0; i < s.n; i++) {
            vm_push_object(L, s.found[i], VM_TYPE_PROTO);
            lua_rawseti(L, -2, (int)i + 1);
        }
        rc = hook_found(e, L, &s);
    } else {
        rc = 0;
    }
    if (rc == 0 && (fresh || key == NULL)) {
        lua_pushvalue(L, top + 1);
        set_part(e, L, SENTINEL);
        e->sentinel = sentinel;
    }
    lua_settop(L, top);
    return rc;
}

/* ---- Functions as they are parsed -------------------------------------------------------------------------------- */

typedef struct parsed {
    trap_engine *e;
    vm_proto *pt;
    int rc;
} parsed;

static int hook_parsed(lua_State *L) {
    parsed *job = lua_touserdata(L, 1);
    search s = {.e = job->e, .found = &job->pt, .n = 0, .room = 1};
    trap_proto *stale = trap_find_proto(job->e, job->pt);
    if (stale != NULL) trap_drop_proto(job->e, stale, false);
    collect(job->pt, &s);
    if (s.n == 0) return 0;
    /* Nothing can have compiled it yet: no traces to drop, which an event handler could not. */
    bool fresh;
    trap_proto *p = enlist(job->e, L, job->pt, &fresh);
    job->rc = p != NULL ? trap_replan(job->e, p) : LJINSPECT_ERR_NOMEM;
    if (p != NULL && job->rc != 0) trap_drop_proto(job->e, p, true);
    return 0;
}

static int on_bytecode(lua_State *L) {
    trap_engine *e = lua_touserdata(L, lua_upvalueindex(1));
    uint64_t value = 0;
    if (lua_gettop(L) >= 1) memcpy(&value, vm_base(L), sizeof(value));
    if (value >> 47 == ((uint64_t)(int64_t)~VM_TYPE_PROTO << 47) >> 47) {
        parsed job = {.e = e, .pt = (vm_proto *)(uintptr_t)(value & ((UINT64_C(1) << 47) - 1)), .rc = 0};
        trap_step_finish(e);
        int status = lua_cpcall(L, hook_parsed, &job);
        if (status != 0 || job.rc != 0) {
            e->base.host.log(e->base.host.owner, L, LJINSPECT_WARN,
                             "a new function could not be hooked: error %d", status != 0 ? status : job.rc);
        }
        if (status != 0) lua_pop(L, 1);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, VM_EVENTS_KEY);
    lua_pushstring(L, CHAINED);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isfunction(L, -1)) return 0;
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void events_changed(trap_engine *e) { e->v.g[e->v.lay->g_vmevmask] = (char)VM_EVENTS_UNKNOWN; }

static void attach(trap_engine *e, lua_State *L) {
    if (e->v.lay->bc_event == 0) return;
    luaL_checkstack(L, 6, "events");
    lua_pushliteral(L, VM_EVENTS_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushliteral(L, VM_EVENTS_KEY);
        lua_pushvalue(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, -1, e->v.lay->bc_event);
    if (lua_tocfunction(L, -1) != on_bytecode) {
        lua_pushstring(L, CHAINED);
        lua_insert(L, -2);
        lua_rawset(L, -3); /* nil where there was none */
        lua_pushlightuserdata(L, e);
        lua_pushcclosure(L, on_bytecode, 1);
        lua_rawseti(L, -2, e->v.lay->bc_event);
        events_changed(e);
    } else {
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void detach(trap_engine *e, lua_State *L) {
    if (e->v.lay->bc_event == 0) return;
    lua_pushliteral(L, VM_EVENTS_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, e->v.lay->bc_event);
        if (lua_tocfunction(L, -1) == on_bytecode) {
            lua_pushstring(L, CHAINED);
            lua_rawget(L, -3);
            lua_rawseti(L, -3, e->v.lay->bc_event);
            events_changed(e);
        }
        lua_pushstring(L, CHAINED);
        lua_pushnil(L);
        lua_rawset(L, -4);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* ---- string.dump -------------------------------------------------------------------------------------------------- */

static void all_traps(trap_engine *e, lua_State *L, bool in) {
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i]; p != NULL; p = p->next_in_bucket) {
            if (!trap_alive(e, L, p)) continue;
            if (in) {
                trap_insert(e, p);
            } else {
                trap_extract(e, p);
            }
        }
    }
}

/* Stands in for string.dump: a dump must hold the program's bytecode. */
static int dump_clean(lua_State *L) {
    const vm_layout *lay;
    const char *why;
    char *g = vm_ptr(L, VM_L_GLREF);
    lay = vm_learn(&why);
    trap_engine *e = trap_vms_find((uintptr_t *)(void *)(g + lay->g_dispatch));
    if (e == NULL || !lua_isfunction(L, 1) || lua_iscfunction(L, 1)) return lay->string_dump(L);
    trap_step_finish(e);
    luaL_checkstack(L, 6, "dump");
    all_traps(e, L, false);
    lua_pushcfunction(L, lay->string_dump);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    all_traps(e, L, true);
    return status != 0 ? lua_error(L) : lua_gettop(L);
}

typedef struct swap {
    const trap_engine *e;
    void *from, *to;
} swap;

static bool swap_function(void *object, void *arg) {
    const swap *s = arg;
    uint8_t header = s->e->v.lay->name[VM_INS_OP(*(vm_ins *)vm_ptr(object, VM_FUNC_PC))];
    if ((header == VM_FUNCC || header == VM_FUNCCW) && vm_ptr(object, VM_FUNC_F) == s->from) {
        vm_set_ptr(object, VM_FUNC_F, s->to);
    }
    return true;
}

/* The function object stays what it is, for whoever holds it; only the C function behind it changes. */
static void take_dump(trap_engine *e, lua_State *L, bool take) {
    void *own = (void *)(uintptr_t)e->v.lay->string_dump, *ours = (void *)(uintptr_t)dump_clean;
    swap s = {.e = e, .from = take ? own : ours, .to = take ? ours : own};
    uint8_t white = vm_gc_white(L);
    vm_walk(&e->v, white, VM_TYPE_FUNC, NULL, swap_function, &s);
    lua_pop(L, 1);
}

/* ---- First and last hook ------------------------------------------------------------------------------------------ */

typedef struct loops {
    const vm_layout *lay;
    lua_State *L;
    vm_proto **found;
    size_t n, room;
} loops;

static bool collect_given_up(void *object, void *arg) {
    loops *l = arg;
    if ((vm_u8(object, VM_PT_FLAGS) & l->lay->flag_iloop) == 0) return true;
    if (l->n < l->room) l->found[l->n] = object;
    l->n++;
    return true;
}

/* Remember the functions in which LuaJIT gave up on a loop; at the end let it try again in those that are new. Two walks
 * as in trap_search(). */
static void given_up_functions(trap_engine *e, lua_State *L, bool at_end) {
    loops l = {.lay = e->v.lay, .L = L};
    int top = lua_gettop(L);
    if (!e->v.lay->has_jit) return;
    luaL_checkstack(L, 10, "loops");
    vm_walk(&e->v, vm_gc_white(L), VM_TYPE_PROTO, NULL, collect_given_up, &l);
    if (l.n > 0) {
        l.room = l.n + 16;
        l.n = 0;
        l.found = lua_newuserdata(L, l.room * sizeof(*l.found));
        lua_createtable(L, (int)l.room, 0);
        uint8_t white = vm_u8(lua_topointer(L, -1), VM_GC_MARKED) & 3;
        vm_walk(&e->v, white, VM_TYPE_PROTO, NULL, collect_given_up, &l);
        if (l.n > l.room) l.n = l.room;
        for (size_t i = 0; i < l.n; i++) {
            vm_push_object(L, l.found[i], VM_TYPE_PROTO);
            lua_rawseti(L, -2, (int)i + 1);
        }
        push_part(e, L, OLD_LOOPS);
        for (size_t i = 0; i < l.n; i++) {
            vm_push_object(L, l.found[i], VM_TYPE_PROTO);
            if (at_end) {
                lua_rawget(L, -2);
                bool off = (vm_u8(l.found[i], VM_PT_FLAGS) & e->v.lay->flag_nojit) != 0;
                if (!lua_toboolean(L, -1) && !off) trap_reenable(e->v.lay, l.found[i], NULL, 0);
                lua_pop(L, 1);
            } else {
                lua_pushboolean(L, 1);
                lua_rawset(L, -3);
            }
        }
    }
    lua_settop(L, top);
}

void trap_watch_code(trap_engine *e, lua_State *L) { attach(e, L); }

void trap_first_hook(trap_engine *e, lua_State *L) {
    push_weak_table(L);
    set_part(e, L, OLD_LOOPS);
    given_up_functions(e, L, false);
    lua_createtable(L, 0, 0);
    e->sentinel = lua_topointer(L, -1);
    set_part(e, L, SENTINEL);
    attach(e, L);
    take_dump(e, L, true);
}

void trap_last_hook(trap_engine *e, lua_State *L) {
    detach(e, L);
    take_dump(e, L, false);
    given_up_functions(e, L, true);
}
