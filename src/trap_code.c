/*
 * Finding code to hook, and knowing whether it still lives.
 */
#include "trap.h"

#include <lauxlib.h>
#include <ljinspect.h>
#include <stdlib.h>

void trap_push_part(trap_engine *e, lua_State *L, int part) {
    lua_pushlightuserdata(L, e);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, -1, part);
    lua_remove(L, -2);
}

void trap_set_part(trap_engine *e, lua_State *L, int part) {
    lua_pushlightuserdata(L, e);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_insert(L, -2);
    lua_rawseti(L, -2, part);
    lua_pop(L, 1);
}

void trap_push_weak_table(lua_State *L) {
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void trap_code_open(trap_engine *e, lua_State *L) {
    lua_pushlightuserdata(L, e);
    lua_createtable(L, 5, 0);
    trap_push_weak_table(L);
    lua_rawseti(L, -2, TRAP_PROTOS);
    lua_createtable(L, 1, 0);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, 1);
    lua_rawseti(L, -2, TRAP_ANCHOR);
    lua_createtable(L, 0, 0);
    lua_rawseti(L, -2, TRAP_SENTINEL);
    trap_push_weak_table(L);
    lua_rawseti(L, -2, TRAP_GIVEN_UP);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void trap_code_close(trap_engine *e, lua_State *L) {
    lua_pushlightuserdata(L, e);
    lua_pushnil(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

bool trap_alive(trap_engine *e, lua_State *L, const trap_proto *p) {
    trap_push_part(e, L, TRAP_PROTOS);
    vm_push_object(L, p->pt, VM_TYPE_PROTO);
    lua_rawget(L, -2);
    bool alive = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return alive;
}

void trap_drop_freed(trap_engine *e, lua_State *L) {
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (!trap_alive(e, L, p)) trap_drop_proto(e, p, false);
        }
    }
}

void trap_anchor(trap_engine *e, lua_State *L, const vm_proto *pt) {
    trap_push_part(e, L, TRAP_ANCHOR);
    vm_push_object(L, pt, VM_TYPE_PROTO);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    e->step_anchor = pt;
}

/* ---- Search ------------------------------------------------------------------------------------------------------ */

typedef struct search {
    trap_engine *e;
    const trap_key *keys; /* NULL: all that are in force */
    size_t n_keys;
    const trap_key **by_line; /* them, sorted */
    size_t n_sorted;
    bool fresh;
    int rc;
    vm_proto **found;
    size_t n, room;
    trap_doomed traces;
} search;

static int compare_lines(const void *a, const void *b) {
    int x = (*(const trap_key *const *)a)->line, y = (*(const trap_key *const *)b)->line;
    return (x > y) - (x < y);
}

static bool sort_keys(search *s) {
    const trap_key *keys = s->keys != NULL ? s->keys : s->e->keys;
    size_t n = s->keys != NULL ? s->n_keys : s->e->n_keys;
    const trap_key **sorted = realloc(s->by_line, (n + 1) * sizeof(*sorted));
    if (sorted == NULL) return false;
    s->by_line = sorted;
    s->n_sorted = n;
    for (size_t i = 0; i < n; i++) sorted[i] = &keys[i];
    qsort(sorted, n, sizeof(*sorted), compare_lines);
    return true;
}

/* With thousands of hooks and a hundred thousand functions only the keys within a function's lines are looked at. */
static bool concerns(const search *s, const vm_proto *pt) {
    size_t low = 0, high = s->n_sorted;
    int first = vm_proto_first_line(pt), last = first + vm_proto_num_lines(pt);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->by_line[middle]->line < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < s->n_sorted && s->by_line[low]->line <= last; low++) {
        if (trap_key_matches(s->by_line[low], pt)) return true;
    }
    return false;
}

static bool collect_proto(void *object, void *arg) {
    search *s = arg;
    if (!concerns(s, object)) return true;
    if (s->n < s->room) s->found[s->n] = object;
    s->n++;
    return true;
}

static bool collect(void *object, void *arg) {
    search *s = arg;
    if (vm_u8(object, VM_GC_TYPE) == VM_TYPE_PROTO) return collect_proto(object, arg);
    if (vm_u8(object, VM_GC_TYPE) == VM_TYPE_TRACE && !trap_doomed_add(&s->traces, object)) s->traces.all = true;
    return true;
}

trap_proto *trap_enlist(trap_engine *e, lua_State *L, vm_proto *pt, bool *fresh) {
    trap_proto *p = trap_find_proto(e, pt);
    if (p != NULL && !trap_alive(e, L, p)) {
        trap_drop_proto(e, p, false);
        p = NULL;
    }
    if (p != NULL) return p;
    trap_push_part(e, L, TRAP_PROTOS);
    vm_push_object(L, pt, VM_TYPE_PROTO);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    *fresh = true;
    return trap_add_proto(e, pt);
}

static int hook_found(trap_engine *e, lua_State *L, search *s) {
    bool fresh = false;
    for (size_t i = 0; i < s->n; i++) {
        if (trap_enlist(e, L, s->found[i], &fresh) == NULL) return LJINSPECT_ERR_NOMEM;
    }
    for (size_t i = 0; i < s->n; i++) {
        trap_proto *p = trap_find_proto(e, s->found[i]);
        if (p != NULL) trap_keep_off(e, L, p);
    }
    bool compiled = s->n > 0 && e->v.lay->has_traces && trap_doomed_any(&s->traces);
    int rc = fresh || compiled ? trap_doomed_drop(&s->traces, e, L) : 0;
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

/* What was found must hang in a table before memory is allocated again: the collector may run. So the table is made
 * first, and larger for a second walk where it was too small. */
static int search_body(lua_State *L) {
    search *s = lua_touserdata(L, 1);
    trap_engine *e = s->e;
    const void *stop = s->fresh ? e->sentinel : NULL;
    luaL_checkstack(L, 10, "search");
    for (;;) {
        s->found = lua_newuserdata(L, s->room * sizeof(*s->found));
        lua_createtable(L, (int)s->room, 0);
        s->n = s->traces.n = 0;
        if (!sort_keys(s)) {
            s->rc = LJINSPECT_ERR_NOMEM;
            return 0;
        }
        uint8_t white = vm_gc_white(L);
        vm_walk(&e->v, white, -1, stop, collect, s);
        if (s->n <= s->room) break;
        s->room = s->n + s->n / 4;
        lua_settop(L, 1);
    }
    trap_drop_freed(e, L);
    /* Entries of freed functions are gone: they may have the address of a new one. A function that is hooked already may
     * have been compiled meanwhile, where a host switched the JIT on for it in C. */
    trap_doomed_choose(&s->traces, e->v.lay, s->found, s->n);
    for (size_t i = 0; i < s->n; i++) {
        vm_push_object(L, s->found[i], VM_TYPE_PROTO);
        lua_rawseti(L, 3, (int)i + 1);
    }
    const void *sentinel = lua_topointer(L, 4);
    s->rc = hook_found(e, L, s);
    if (s->rc == 0 && s->fresh) {
        lua_pushvalue(L, 4);
        trap_set_part(e, L, TRAP_SENTINEL);
        e->sentinel = sentinel;
    }
    return 0;
}

int trap_search(trap_engine *e, lua_State *L, const trap_key *keys, size_t n, bool fresh) {
    search s = {.e = e, .keys = keys, .n_keys = n, .fresh = fresh, .room = 64};
    int rc = trap_protect(e, L, search_body, &s);
    trap_doomed_free(&s.traces);
    free(s.by_line);
    return rc != 0 ? rc : s.rc;
}

/* A function that the parser has just finished: nothing can have compiled it yet, so no traces need to be dropped,
 * which an event handler could not do. */
int trap_hook_parsed(trap_engine *e, lua_State *L, vm_proto *pt) {
    if (!trap_wanted(e, pt)) {
        trap_proto *stale = trap_find_proto(e, pt);
        if (stale != NULL) trap_drop_proto(e, stale, false);
        return 0;
    }
    trap_drop_overlapping(e, pt);
    bool fresh;
    trap_proto *p = trap_enlist(e, L, pt, &fresh);
    int rc = p != NULL ? trap_replan(e, p) : LJINSPECT_ERR_NOMEM;
    if (p != NULL && rc != 0) trap_drop_proto(e, p, true);
    return rc;
}
