/*
 * Learning, once per process, on a scratch VM; and comparing the program's VMs with what was learned.
 */
#include "vm_learn.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- The scratch VM ---------------------------------------------------------------------------------------------- */

void vm_no_hook(lua_State *S, lua_Debug *ar) {
    (void)S;
    (void)ar;
}

/* What callbacks of the scratch VM must find again is kept in its registry, not in the thread: a library that is loaded
 * at run time gets its thread-local storage late, and leak checkers stumble over it. */
int vm_remember(lua_State *S) {
    const vm_note *note = lua_touserdata(S, 1);
    lua_pushlightuserdata(S, (void *)(uintptr_t)note->key);
    lua_pushlightuserdata(S, note->value);
    lua_rawset(S, LUA_REGISTRYINDEX);
    return 0;
}

void *vm_recall(lua_State *S, const void *key) {
    lua_pushlightuserdata(S, (void *)(uintptr_t)key);
    lua_rawget(S, LUA_REGISTRYINDEX);
    void *value = lua_touserdata(S, -1);
    lua_pop(S, 1);
    return value;
}

struct learning {
    vm_layout *lay;
    const char **why;
    bool ok;
};

static int learn_steps(lua_State *S) {
    struct learning *job = lua_touserdata(S, 1);
    lua_settop(S, 0);
    lua_gc(S, LUA_GCSTOP, 0);
    job->ok = vm_learn_state(S, job->lay, job->why) && vm_learn_dispatch(S, job->lay, job->why) &&
              vm_learn_ops(S, job->lay, job->why) && vm_learn_protos(S, job->lay, job->why) &&
              vm_learn_jit(S, job->lay, job->why);
    return 0;
}

/* LuaJIT ends the process after a panic, for instance where the kernel refuses to make its machine code executable
 * (lj_mcode.c: mcode_protfail). */
static const char way_out; /* its address is the key in the scratch VM's registry */

static int on_panic(lua_State *S) {
    longjmp(*(jmp_buf *)vm_recall(S, &way_out), 1);
}

/* Much more than learning needs. */
static int take_memory(lua_State *S) {
    lua_newuserdata(S, 4 << 20);
    return 0;
}

/* False if the VM panicked: it stays as it is then, nothing can be done with it any more. */
static bool run_steps(lua_State *S, struct learning *job, int *status) {
    jmp_buf back;
    if (setjmp(back) != 0) return false;
    vm_note note = {.key = &way_out, .value = &back};
    *status = lua_cpcall(S, vm_remember, &note);
    if (*status == 0) {
        lua_atpanic(S, on_panic);
        *status = lua_cpcall(S, learn_steps, job);
    }
    /* A step that finds no memory may take that for a LuaJIT it does not understand. */
    if (*status == 0 && !job->ok) *status = lua_cpcall(S, take_memory, NULL);
    lua_close(S);
    return true;
}

vm_learned vm_learn_all(vm_layout *lay, const char **why) {
    struct learning job = {.lay = lay, .why = why, .ok = false};
    uint8_t byte = 1, copy = 0;
    int status = 0;
    if (!vm_read(&byte, &copy, 1) || copy != 1) {
        *why = "the process may not look at its own memory through a pipe, or has no file descriptors left";
        return VM_LATER;
    }
    lua_State *S = luaL_newstate();
    if (S == NULL) {
        *why = "no scratch VM can be made";
        return VM_LATER;
    }
    if (!run_steps(S, &job, &status)) {
        *why = "the scratch VM panicked";
        return VM_UNKNOWN;
    }
    if (status == 0 && job.ok) return VM_LEARNED;
    if (status == LUA_ERRMEM) {
        *why = "no memory for a scratch VM";
        return VM_LATER;
    }
    if (status != 0) *why = "an experiment in the scratch VM raised an error";
    return VM_UNKNOWN;
}

/*
 * Threads that come at the same time each learn for themselves, and one result is kept: a lock could be held by another
 * thread when the process forks.
 */
static _Atomic(const vm_layout *) learned;
static _Atomic(const char *) refused;

const vm_layout *vm_learn(const char **why) {
    const vm_layout *lay = atomic_load(&learned);
    if (lay != NULL) return lay;
    if ((*why = atomic_load(&refused)) != NULL) return NULL;

    vm_layout *fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL) {
        *why = "no memory";
        return NULL;
    }
    vm_learned result = vm_learn_all(fresh, why);
    if (result == VM_LEARNED && atomic_compare_exchange_strong(&learned, &lay, fresh)) return fresh;
    free(fresh);
    if (result == VM_LEARNED) return lay; /* another thread's */
    if (result == VM_UNKNOWN) atomic_store(&refused, *why);
    return NULL;
}

/* ---- A VM of the program ----------------------------------------------------------------------------------------- */

/* How many slots of the static half hold something else than the handlers that were learned. */
static unsigned foreign_slots(const vm_layout *lay, const uintptr_t *table) {
    unsigned n = 0;
    for (unsigned i = 0; i < lay->static_len; i++) {
        uint8_t op = lay->name[i];
        if (op == VM_FORL || op == VM_ITERL || op == VM_LOOP || op == VM_ITERN) continue; /* may be counting ones */
        n += table[lay->static_at + i] != lay->handler[i];
    }
    return n;
}

bool vm_attach(vm *v, lua_State *L, const char **why) {
    char head[96];
    uintptr_t table[VM_SLOTS_MAX];
    const void *running;
    uint8_t mask;
    const vm_layout *lay = vm_learn(why);
    if (lay == NULL) return false;

    *why = "this VM is of another LuaJIT than the one the library uses";
    if (!vm_read(L, head, sizeof(head)) || vm_u8(head, VM_GC_TYPE) != VM_TYPE_THREAD) return false;
    char *g = vm_ptr(head, VM_L_GLREF);
    size_t slots = lay->static_at + lay->static_len;
    if (!vm_read(g + lay->g_dispatch, table, slots * sizeof(table[0]))) return false;
    unsigned foreign = foreign_slots(lay, table);
    if (foreign > lay->static_len / 2) return false;

    *why = "somebody else uses this VM's dispatch table";
    if (foreign > 0) return false;

    *why = "this VM's state is not where it was in the scratch VM";
    if (!vm_read(g + lay->g_hookmask, &mask, 1) || (mask & 0x0f) != lua_gethookmask(L)) return false;
    if (!vm_read(g + lay->g_cur_l, &running, sizeof(running)) || !vm_read(running, head, sizeof(head))) return false;
    if (vm_u8(head, VM_GC_TYPE) != VM_TYPE_THREAD || vm_ptr(head, VM_L_GLREF) != g) return false;
    *v = (vm){.lay = lay, .g = g, .dispatch = (uintptr_t *)(void *)(g + lay->g_dispatch)};
    return true;
}
