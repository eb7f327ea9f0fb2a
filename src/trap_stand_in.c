/*
 * Standing in for functions of the program's that look at bytecode or at the marks on functions: string.dump, jit.on and
 * jit.off. What they see, and what they leave, must be the program's own.
 *
 * The function objects stay what they are, for whoever holds them; only the C function behind each changes.
 */
#include <lauxlib.h>

#include "trap.h"

static void set_c_function(lua_State *L, int index, lua_CFunction f) {
    vm_set_ptr((void *)(uintptr_t)lua_topointer(L, index), VM_FUNC_F, (void *)(uintptr_t)f);
}

/* Whether our mark on hooked functions comes and goes with the traps. */
typedef enum what { TRAPS, TRAPS_AND_MARKS } what;

static void show_program(trap_engine *e, trap_proto *p, what w) {
    uint8_t *flags = (uint8_t *)p->pt + VM_PT_FLAGS;
    trap_extract(e, p);
    if (w == TRAPS_AND_MARKS && !p->was_nojit) *flags &= (uint8_t)~e->v.lay->flag_nojit;
}

/* lj_dispatch.c, setptmode: switching the JIT on makes loops count again that LuaJIT had given up on. */
static void hide_program(trap_engine *e, trap_proto *p, what w) {
    const vm_layout *lay = e->v.lay;
    uint8_t *flags = (uint8_t *)p->pt + VM_PT_FLAGS;
    if (w == TRAPS_AND_MARKS) {
        p->was_nojit = (*flags & lay->flag_nojit) != 0;
        if ((*flags & lay->flag_iloop) == 0) p->n_old_iloops = 0;
        *flags |= lay->flag_nojit;
        trap_reread(e, p);
    }
    trap_insert(e, p);
}

static void show_all(trap_engine *e, lua_State *L, bool program, what w) {
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i]; p != NULL; p = p->next_in_bucket) {
            if (!trap_alive(e, L, p)) continue;
            if (program) {
                show_program(e, p, w);
            } else {
                hide_program(e, p, w);
            }
        }
    }
}

static const vm_layout *layout(void) {
    const char *why;
    return vm_learn(&why);
}

/* ---- string.dump ------------------------------------------------------------------------------------------------- */

/* Keep the collector from running, and with it finalizers, which may be hooked, too. */
typedef struct collector {
    bool running;
    uint64_t threshold; /* of memory, at which it runs on; as if the collection were due now where it is not found */
} collector;

static collector hold_collector(trap_engine *e, lua_State *L) {
    collector c = {.running = lua_gc(L, LUA_GCISRUNNING, 0) != 0, .threshold = vm_u64(e->v.g, VM_G_GC_THRESHOLD)};
    if (c.running) lua_gc(L, LUA_GCSTOP, 0);
    return c;
}

static void release_collector(trap_engine *e, lua_State *L, const collector *c) {
    if (!c->running) return;
    memcpy(e->v.g + VM_G_GC_THRESHOLD, &c->threshold, sizeof(c->threshold));
    if (lua_gc(L, LUA_GCISRUNNING, 0) == 0) lua_gc(L, LUA_GCRESTART, 0);
}

static int dump_clean(lua_State *L) {
    if (!lua_isfunction(L, 1) || lua_iscfunction(L, 1)) return layout()->string_dump(L);
    luaL_checkstack(L, 6, "dump");
    lua_pushcfunction(L, layout()->string_dump);
    trap_engine *e = trap_engine_of(L); /* now: a finalizer may have changed it */
    if (e == NULL) {
        lua_pop(L, 1);
        return layout()->string_dump(L);
    }
    lua_insert(L, 1);
    trap_step_finish(e);
    bool was = trap_hush(e);
    collector gc = hold_collector(e, L);
    show_all(e, L, true, TRAPS);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    show_all(e, L, false, TRAPS);
    release_collector(e, L, &gc);
    trap_unhush(e, was);
    return status != 0 ? lua_error(L) : lua_gettop(L);
}

/* ---- jit.on, jit.off --------------------------------------------------------------------------------------------- */

/*
 * For a function (or `true`, the caller: so the original must run in our own frame) luaJIT_setmode() sets marks, and
 * raises errors only for what is asked here (lib_jit.c: setjitmode; lj_dispatch.c: luaJIT_setmode).
 */
static int switch_jit(lua_State *L, lua_CFunction original) {
    trap_engine *e = trap_engine_of(L);
    bool function = lua_isfunction(L, 1) && !lua_iscfunction(L, 1);
    bool caller = lua_isboolean(L, 1) && lua_toboolean(L, 1);
    if (caller) {
        lua_Debug ar;
        caller = lua_getstack(L, 1, &ar) != 0 && lua_getinfo(L, "f", &ar) != 0;
        if (caller) {
            caller = !lua_iscfunction(L, -1);
            lua_pop(L, 1);
        }
    }
    if (e == NULL || !e->v.lay->has_jit || !(function || caller) || (trap_hookmask(e) & VM_HOOK_GC) != 0) {
        int results = original(L);
        /* What a filter asks for while the compiler is off on its account holds when it is given back (trap_bound.c). */
        if (e != NULL && e->bound.on && lua_isnoneornil(L, 1)) e->bound.jit = (trap_mode(e) & VM_MODE_JIT) != 0;
        return results;
    }
    trap_step_finish(e);
    show_all(e, L, true, TRAPS_AND_MARKS);
    int results = original(L);
    show_all(e, L, false, TRAPS_AND_MARKS);
    return results;
}

static int jit_on(lua_State *L) {
    return switch_jit(L, layout()->jit_on);
}

static int jit_off(lua_State *L) {
    return switch_jit(L, layout()->jit_off);
}

/* ---- Begin and end ----------------------------------------------------------------------------------------------- */

typedef struct stand_in {
    const char *library, *name;
    lua_CFunction original, ours;
} stand_in;

enum { N_STAND_INS = 3 };

static void list(const vm_layout *lay, stand_in all[N_STAND_INS]) {
    all[0] = (stand_in){"string", "dump", lay->string_dump, dump_clean};
    all[1] = (stand_in){"jit", "on", lay->jit_on, jit_on};
    all[2] = (stand_in){"jit", "off", lay->jit_off, jit_off};
}

/* Push the function as the program's libraries have it, or something else. */
static void push_function(lua_State *L, const stand_in *s) {
    const char *const way[] = {"_LOADED", s->library, s->name};
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
        if (!lua_istable(L, -1)) break;
        lua_pushstring(L, way[i]);
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
}

void trap_stand_in(trap_engine *e, lua_State *L) {
    stand_in all[N_STAND_INS];
    luaL_checkstack(L, 6, "stand in");
    list(e->v.lay, all);
    lua_createtable(L, N_STAND_INS, 0);
    lua_pushvalue(L, -1);
    trap_set_part(e, L, TRAP_STAND_INS);
    for (int i = 0; i < N_STAND_INS; i++) {
        push_function(L, &all[i]);
        if (all[i].original != NULL && lua_tocfunction(L, -1) == all[i].original) {
            lua_pushvalue(L, -1);
            lua_rawseti(L, -3, i + 1);
            set_c_function(L, -1, all[i].ours);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void trap_stand_back(trap_engine *e, lua_State *L) {
    stand_in all[N_STAND_INS];
    list(e->v.lay, all);
    trap_push_part(e, L, TRAP_STAND_INS);
    for (int i = 0; i < N_STAND_INS && lua_istable(L, -1); i++) {
        lua_rawgeti(L, -1, i + 1);
        if (lua_tocfunction(L, -1) == all[i].ours) set_c_function(L, -1, all[i].original);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}
