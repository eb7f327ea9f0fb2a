/*
 * The trap engine: bytecode traps at the hooked lines. An armed hook costs the rest of the program nothing, the JIT
 * compiler stays on.
 *
 * trap.h names the parts. This file is what engine.h asks for. Everything that may raise a Lua error or needs the stack
 * runs inside lua_cpcall(), and a step that is under way is ended before anything is changed.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "ljinspect.h"
#include "trap.h"

static trap_engine *self(engine *e) {
    return (trap_engine *)(void *)e;
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

/* `at` is a line, or HOOKS_RETURN plus one (hooks.h); the text of the file is the caller's. */
static trap_key key_for(const char *file, size_t len, int at) {
    return (trap_key){.file = (char *)(uintptr_t)file,
                      .file_len = len,
                      .line = at & HOOKS_LINE_MAX,
                      .returns = (at & HOOKS_RETURN) != 0,
                      .count = 1};
}

static int key_at(const trap_key *k) {
    return k->line | (k->returns ? HOOKS_RETURN : 0);
}

static trap_key *find_key(trap_engine *e, const char *file, size_t len, int at) {
    for (size_t i = 0; i < e->n_keys; i++) {
        trap_key *k = &e->keys[i];
        if (key_at(k) == at && k->file_len == len && memcmp(k->file, file, len) == 0) return k;
    }
    return NULL;
}

static trap_key *add_key(trap_engine *e, const char *file, size_t len, int at) {
    if (e->n_keys == e->cap_keys) {
        size_t n = e->cap_keys == 0 ? 16 : e->cap_keys * 2;
        trap_key *keys = realloc(e->keys, n * sizeof(*keys));
        if (keys == NULL) return NULL;
        e->keys = keys;
        e->cap_keys = n;
    }
    char *copy = malloc(len + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, file, len);
    copy[len] = '\0';
    e->keys[e->n_keys] = key_for(copy, len, at);
    return &e->keys[e->n_keys++];
}

/* ---- Hooked functions -------------------------------------------------------------------------------------------- */

static bool concerned(const trap_key *keys, size_t n, const trap_proto *p) {
    for (size_t i = 0; i < n; i++) {
        if (trap_key_about(&keys[i], p->pt)) return true;
    }
    return false;
}

/* Of the functions that the `n` keys are about (NULL: all) drop those without a hook and bring the rest up to date.
 * Functions that were freed are dropped in any case. */
static void refresh(trap_engine *e, lua_State *L, const trap_key *keys, size_t n) {
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (!trap_alive(e, L, p)) {
                trap_drop_proto(e, p, false);
            } else if (keys != NULL && !concerned(keys, n, p)) {
                continue;
            } else if (!trap_wanted(e, p->pt)) {
                trap_drop_proto(e, p, true);
            } else {
                trap_replan(e, p); /* where memory is short it keeps traps that nobody listens to */
            }
        }
    }
}

/* ---- Arm and disarm ---------------------------------------------------------------------------------------------- */

typedef struct job {
    trap_engine *e;
    /* Those it is about; NULL: all. Not the array of e->keys: a finalizer that runs meanwhile may set and unset hooks. */
    const trap_key *keys;
    size_t n;
    int rc;
} job;

static void watch_code(trap_engine *e, lua_State *L) {
    e->watching_code = true; /* first, so that what an error leaves is undone */
    trap_first_hook(e, L);
    e->watch_complete = true;
}

static int arm_body(lua_State *L) {
    job *j = lua_touserdata(L, 1);
    luaL_checkstack(L, 10, "arm");
    if (!j->e->watch_complete) watch_code(j->e, L);
    j->rc = trap_search(j->e, L, j->keys, j->n, false);
    for (size_t i = 0; i < j->n; i++) {
        if (j->keys[i].returns) trap_calls_present(j->e, L);
        if (j->keys[i].returns) break;
    }
    return 0;
}

static int refresh_body(lua_State *L) {
    job *j = lua_touserdata(L, 1);
    luaL_checkstack(L, 10, "disarm");
    refresh(j->e, L, j->keys, j->n);
    if (j->e->n_keys == 0 && j->e->watching_code) {
        trap_last_hook(j->e, L);
        j->e->watching_code = j->e->watch_complete = false;
        if (j->e->n_keys > 0) { /* a finalizer set a hook meanwhile */
            watch_code(j->e, L);
            return 0;
        }
        bool due = j->e->flush_due;
        j->e->flush_due = true; /* unless the next ends well */
        if (trap_drop_given_up(j->e, L) == 0) j->e->flush_due = due;
    }
    return 0;
}

/* The `n` keys went out of force. */
static void disarmed(trap_engine *e, lua_State *L, const trap_key *keys, size_t n) {
    job j = {.e = e, .keys = keys, .n = n};
    if (n > 0 && trap_protect(e, L, refresh_body, &j) != 0) e->refresh_due = true;
}

/* One arm less. True: it was the last of the key, which is given to the caller. */
static bool take_key(trap_engine *e, const char *file, size_t len, int line, trap_key *gone) {
    trap_key *k = find_key(e, file, len, line);
    if (k == NULL || --k->count > 0) return false;
    *gone = *k;
    *k = e->keys[--e->n_keys];
    return true;
}

static void trap_disarm(engine *base, lua_State *L, const char *file, size_t file_len, int line) {
    trap_engine *e = self(base);
    trap_key gone;
    trap_settle(e);
    if (!take_key(e, file, file_len, line, &gone)) return;
    disarmed(e, L, &gone, 1);
    free(gone.file);
}

static void trap_disarm_all(engine *base, lua_State *L, hook *const *hooks, size_t n) {
    trap_engine *e = self(base);
    trap_key *gone = calloc(n + 1, sizeof(*gone));
    size_t n_gone = 0;
    if (gone == NULL) {
        for (size_t i = 0; i < n; i++) trap_disarm(base, L, hooks[i]->file, hooks[i]->file_len, hooks[i]->at);
        return;
    }
    trap_settle(e);
    for (size_t i = 0; i < n; i++) {
        n_gone += take_key(e, hooks[i]->file, hooks[i]->file_len, hooks[i]->at, &gone[n_gone]);
    }
    disarmed(e, L, gone, n_gone);
    for (size_t i = 0; i < n_gone; i++) free(gone[i].file);
    free(gone);
}

/* The `n` keys, which are in e->keys, come into force. */
static int armed(trap_engine *e, lua_State *L, const trap_key *keys, size_t n) {
    job j = {.e = e, .keys = keys, .n = n};
    int rc = n > 0 ? trap_protect(e, L, arm_body, &j) : 0;
    if (rc == 0) rc = j.rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        /* A finalizer removed the hook meanwhile: what was enlisted for it since then goes. */
        if (find_key(e, keys[i].file, keys[i].file_len, key_at(&keys[i])) == NULL) disarmed(e, L, &keys[i], 1);
    }
    return rc;
}

/* One arm more. 1: the key is new; 0: it is in force; or LJINSPECT_ERR_NOMEM. */
static int give_key(trap_engine *e, const char *file, size_t len, int line) {
    trap_key *k = find_key(e, file, len, line);
    if (k == NULL) return add_key(e, file, len, line) != NULL ? 1 : LJINSPECT_ERR_NOMEM;
    k->count++;
    return 0;
}

static int trap_arm(engine *base, lua_State *L, const char *file, size_t file_len, int line, int func) {
    trap_engine *e = self(base);
    (void)func; /* which traces to drop is found out */
    trap_settle(e);
    int rc = give_key(e, file, file_len, line);
    if (rc <= 0) return rc;
    trap_key own = key_for(file, file_len, line);
    rc = armed(e, L, &own, 1);
    if (rc != 0) trap_disarm(base, L, file, file_len, line);
    return rc;
}

/* One search for all. */
static int trap_arm_all(engine *base, lua_State *L, hook *const *hooks, size_t n) {
    trap_engine *e = self(base);
    trap_key *fresh = calloc(n + 1, sizeof(*fresh));
    size_t given = 0, n_fresh = 0;
    int rc = fresh != NULL ? 0 : LJINSPECT_ERR_NOMEM;
    trap_settle(e);
    for (; given < n && rc >= 0; given += rc >= 0) {
        rc = give_key(e, hooks[given]->file, hooks[given]->file_len, hooks[given]->at);
        if (rc > 0) fresh[n_fresh++] = key_for(hooks[given]->file, hooks[given]->file_len, hooks[given]->at);
    }
    if (rc >= 0) rc = armed(e, L, fresh, n_fresh);
    if (rc != 0) trap_disarm_all(base, L, hooks, given);
    free(fresh);
    return rc;
}

/* ---- Open and close ---------------------------------------------------------------------------------------------- */

static int open_body(lua_State *L) {
    job *j = lua_touserdata(L, 1);
    luaL_checkstack(L, 6, "open");
    trap_code_open(j->e, L);
    return 0;
}

static engine *trap_open(lua_State *L, const engine_host *host) {
    const char *why;
    vm v;
    if (!vm_attach(&v, L, &why)) {
        host->log(host->owner, L, LJINSPECT_WARN, "no bytecode traps in this VM: %s", why);
        return NULL;
    }
    trap_engine *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        host->log(host->owner, L, LJINSPECT_WARN, "no bytecode traps in this VM: no memory");
        return NULL;
    }
    e->base.class = &engine_trap;
    e->base.host = *host;
    e->v = v;
    e->trap_plain = v.lay->number[VM_ISTYPE];
    e->trap_fetch = v.lay->number[VM_TGETR];
    e->wake.cycle = trap_cycle;
    e->wake.engine = e;
    for (size_t i = 0; i < VM_SLOTS_MAX; i++) {
        e->step.rearm[i] = TRAP_REARM_STUB;
        e->step.rearm_fixed[i] = TRAP_REARM_FIXED_STUB;
    }
    job j = {.e = e};
    if (!trap_vms_add(e)) {
        host->log(host->owner, L, LJINSPECT_WARN, "no bytecode traps in this VM: too many VMs");
    } else if (trap_protect(e, L, open_body, &j) != 0) {
        trap_vms_remove(e);
        host->log(host->owner, L, LJINSPECT_WARN, "no bytecode traps in this VM: no memory");
    } else {
        return &e->base;
    }
    free(e);
    return NULL;
}

static int close_body(lua_State *L) {
    job *j = lua_touserdata(L, 1);
    refresh_body(L);
    trap_code_close(j->e, L);
    return 0;
}

/* Where memory is so short that nothing can be called: what must go, without allocation. The event handlers and what
 * stands in for string.dump do nothing in a VM without an engine. */
static void drop_all(trap_engine *e, lua_State *L) {
    for (size_t i = 0; i < e->proto_buckets; i++) {
        while (e->protos[i] != NULL) trap_drop_proto(e, e->protos[i], trap_alive(e, L, e->protos[i]));
    }
}

static void trap_close(engine *base, lua_State *L, bool closing) {
    trap_engine *e = self(base);
    (void)closing; /* the VM's hook mask says the same */
    wake_stop_cycle(&e->wake);
    trap_settle(e);
    for (size_t i = 0; i < e->n_keys; i++) free(e->keys[i].file);
    e->n_keys = 0;
    job j = {.e = e};
    if (trap_protect(e, L, close_body, &j) != 0) drop_all(e, L);
    trap_unwake(e);
    trap_vms_remove(e);
    trap_frames_free(&e->marks);
    trap_frames_free(&e->calls);
    free(e->keys);
    free(e->protos);
    free(e->places);
    if (e->in_hit) {
        e->closed = true; /* the stub we came from still needs it */
    } else {
        free(e);
    }
}

/* ---- Where hooks stand ------------------------------------------------------------------------------------------- */

typedef struct locating {
    hook *const *hooks;
    size_t n;
    engine_place *places;
    const void *chunk; /* chunk name looked at last: functions of a chunk mostly follow each other */
    size_t *matching;  /* the hooks whose file it matches */
    size_t n_matching;
} locating;

static void match_chunk(locating *l, const vm_proto *pt) {
    size_t len;
    const char *source = vm_proto_source(pt, &len);
    if (source == l->chunk) return; /* names are interned, and nothing is collected during the walk */
    l->chunk = source;
    l->n_matching = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (hooks_suffix(source, len, l->hooks[i]->file, l->hooks[i]->file_len)) l->matching[l->n_matching++] = i;
    }
}

static void nearest(const vm_proto *pt, int line, engine_place *place) {
    for (uint32_t i = 1; i < vm_proto_size(pt); i++) {
        int l = vm_proto_line(pt, i);
        if (l < line && l > place->line_before) place->line_before = l;
        if (l > line && (place->line_after == 0 || l < place->line_after)) place->line_after = l;
    }
}

static bool locate_one(void *object, void *arg) {
    locating *l = arg;
    const vm_proto *pt = object;
    if (vm_proto_stripped(pt)) return true;
    match_chunk(l, pt);
    for (size_t k = 0; k < l->n_matching; k++) {
        size_t i = l->matching[k];
        l->places[i].file_known = true;
        bool returns = (l->hooks[i]->at & HOOKS_RETURN) != 0;
        if (returns ? trap_begins_on(pt, l->hooks[i]->line) : vm_proto_has_line(pt, l->hooks[i]->line)) {
            l->places[i].places++;
        } else if (!returns) {
            nearest(pt, l->hooks[i]->line, &l->places[i]);
        }
    }
    return true;
}

static void trap_locate(engine *base, lua_State *L, hook *const *hooks, size_t n, engine_place *places) {
    trap_engine *e = self(base);
    locating l = {.hooks = hooks, .n = n, .places = places};
    memset(places, 0, n * sizeof(*places));
    luaL_checkstack(L, 3, "locate");
    l.matching = lua_newuserdata(L, (n + 1) * sizeof(*l.matching));
    uint8_t white = vm_gc_white(L);
    vm_walk(&e->v, white, VM_TYPE_PROTO, NULL, locate_one, &l);
    lua_pop(L, 2);
}

/* ---- Safepoints -------------------------------------------------------------------------------------------------- */

static void trap_wake_vm(engine *base) {
    trap_engine *e = self(base);
    if (wake_asleep(&e->wake)) trap_pause(e);
    trap_wake_calls(e);
}

/* From a C function, or where no Lua runs: as much as if the thread slept in a system call. */
static void trap_wake_vm_here(engine *base) {
    trap_engine *e = self(base);
    wake_here(&e->wake);
    trap_pause(e);
    trap_wake_calls(e);
}

static void trap_awake(engine *base, lua_State *L) {
    (void)L;
    trap_settle(self(base));
    trap_unwake(self(base));
}

static int maintain_body(lua_State *L) {
    job *j = lua_touserdata(L, 1);
    trap_engine *e = j->e;
    luaL_checkstack(L, 10, "maintain");
    if (e->flush_due && trap_drop_all(e, L) == 0) e->flush_due = false;
    if (e->refresh_due) {
        e->refresh_due = false;
        refresh_body(L);
    }
    if (e->n_keys > 0) {
        trap_watch_code(e, L);
        trap_search(e, L, NULL, 0, true);
    }
    return 0;
}

static void trap_maintain(engine *base, lua_State *L) {
    trap_engine *e = self(base);
    if (atomic_load(&e->watching)) {
        wake_here(&e->wake);
        trap_keep_cycle(e, L);
    }
    if (e->n_keys == 0 && !e->flush_due && !e->refresh_due) return;
    trap_settle(e);
    job j = {.e = e};
    trap_protect(e, L, maintain_body, &j);
}

static void trap_watching(engine *base, lua_State *L, bool on) {
    trap_engine *e = self(base);
    atomic_store(&e->watching, on);
    if (on) {
        wake_here(&e->wake);
        trap_keep_cycle(e, L);
    }
}

const engine_class engine_trap = {.name = "trap",
                                  .open = trap_open,
                                  .close = trap_close,
                                  .arm = trap_arm,
                                  .arm_all = trap_arm_all,
                                  .disarm = trap_disarm,
                                  .disarm_all = trap_disarm_all,
                                  .loaded = NULL,
                                  .locate = trap_locate,
                                  .push_locals = trap_push_locals,
                                  .push_returns = trap_push_returns,
                                  .wake = trap_wake_vm,
                                  .wake_here = trap_wake_vm_here,
                                  .awake = trap_awake,
                                  .maintain = trap_maintain,
                                  .watching = trap_watching,
                                  .bound = trap_bound,
                                  .unbound = trap_unbound,
                                  .is_jump = trap_is_jump};
