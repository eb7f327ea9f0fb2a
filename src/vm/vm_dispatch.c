/*
 * The dispatch table and the interpreter's entry points.
 *
 * lj_dispatch.h: GG_State.dispatch holds a slot for each opcode and fast function (the dynamic half, through which each
 * instruction is dispatched), then one for each opcode below FUNCF (the static half: the plain handlers). Hooks and the
 * trace recorder point dynamic slots elsewhere; vm_inshook and vm_record go on to the static half.
 */
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <stdlib.h>

#include "vm_learn.h"

enum { WORDS = 1280, HOOKS_NEVER = 0x7fffffff };

/* As much of global_State and what follows as is mapped, in words. */
static size_t snapshot(const char *g, uintptr_t *words) {
    return vm_read_some(g, words, WORDS * sizeof(uintptr_t)) / sizeof(uintptr_t);
}

/* The longest run of words that all became one and the same pointer. */
static size_t changed_run(const uintptr_t *before, const uintptr_t *after, size_t n, size_t *len) {
    size_t best = 0;
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        while (k < n && after[k] == after[i] && before[k] != after[k]) k++;
        if (k - i > *len) {
            *len = k - i;
            best = i;
        }
        if (k > i) i = k - 1;
    }
    return best;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* Set hooks: do the mask, the mode and the count stand where we look for them? */
static bool mode_is(lua_State *S, const vm_layout *lay, int mask, int mode) {
    char *g = vm_ptr(S, VM_L_GLREF);
    int count = HOOKS_NEVER - mask;
    lua_sethook(S, mask != 0 ? vm_no_hook : NULL, mask, count);
    return (vm_u8(g, lay->g_hookmask) & 0x0f) == mask && (vm_u8(g, lay->g_dispatchmode) & 0x0f) == mode &&
           (mask == 0 || vm_i32(g, lay->g_hookcount) == count);
}

static bool learn_table(lua_State *S, vm_layout *lay, uintptr_t *off, uintptr_t *on, const char **why) {
    char *g = vm_ptr(S, VM_L_GLREF);
    size_t len, n;

    *why = "the dispatch table was not found";
    lua_sethook(S, vm_no_hook, LUA_MASKCOUNT, HOOKS_NEVER); /* once before: the first change also sets counting slots */
    lua_sethook(S, NULL, 0, 0);
    if ((n = snapshot(g, off)) < 512) return false;
    lua_sethook(S, vm_no_hook, LUA_MASKCOUNT, HOOKS_NEVER);
    n = snapshot(g, on) < n ? 0 : n;
    lua_sethook(S, NULL, 0, 0);
    size_t at = changed_run(off, on, n, &len);
    if (len < 80 || len > 160) return false;
    lay->g_dispatch = (ptrdiff_t)(at * sizeof(uintptr_t));
    lay->static_len = (unsigned)len;
    lay->inshook = on[at];

    *why = "the instruction hook's code is not the one we know";
    if (!vm_decode_inshook(lay, lay->inshook)) return false;
    if (lay->static_at < lay->static_len + VM_FUNC_SLOTS || lay->static_at + lay->static_len > VM_SLOTS_MAX ||
        at + lay->static_at + lay->static_len > n || lay->g_hookmask <= 0 || lay->g_hookmask >= lay->g_dispatch ||
        lay->g_hookcount <= 0 || lay->g_hookcount >= lay->g_dispatch) {
        return false;
    }

    *why = "the two halves of the dispatch table differ";
    if (memcmp(off + at, off + at + lay->static_at, lay->static_len * sizeof(uintptr_t)) != 0) return false;
    memcpy(lay->handler, off + at, lay->static_len * sizeof(uintptr_t));
    for (unsigned i = 0; i < VM_FUNC_SLOTS; i++) lay->func_handler[0][i] = off[at + lay->static_len + i];

    *why = "the dispatch mode was not found";
    lay->g_dispatchmode = lay->g_hookmask + 1; /* next to it in lj_obj.h */
    bool ok = mode_is(S, lay, LUA_MASKCOUNT, VM_MODE_INS) && mode_is(S, lay, LUA_MASKLINE, VM_MODE_INS) &&
              mode_is(S, lay, LUA_MASKRET, VM_MODE_RET) && mode_is(S, lay, LUA_MASKCALL, VM_MODE_CALL);
    if (ok && snapshot(g, on) >= at + lay->static_at) {
        lay->callhook = on[at + lay->static_len];
        for (unsigned i = lay->static_len; i < lay->dynamic_len; i++) ok = ok && on[at + i] == lay->callhook;
        ok = ok && memcmp(on + at, off + at, lay->static_len * sizeof(uintptr_t)) == 0;
    }
    ok = mode_is(S, lay, 0, 0) && ok;
    return ok && memcmp(g + lay->g_dispatch, off + at, lay->dynamic_len * sizeof(uintptr_t)) == 0;
}

/* We are inside a C function of S; lj_obj.h: VM states are ~0 for the interpreter, ~1 and on for what it calls. */
static bool check_running(lua_State *S, const vm_layout *lay) {
    const char *g = vm_ptr(S, VM_L_GLREF);
    if (lay->g_cur_l <= 0 || lay->g_cur_l >= lay->g_dispatch || lay->g_vmstate <= 0 ||
        lay->g_vmstate >= lay->g_dispatch) {
        return false;
    }
    int32_t state = vm_i32(g, lay->g_vmstate);
    return vm_ptr(g, lay->g_cur_l) == S && lay->vmstate_interp == ~0 && state < ~0 && state >= ~7;
}

bool vm_learn_dispatch(lua_State *S, vm_layout *lay, const char **why) {
    uintptr_t *words = lua_newuserdata(S, (size_t)2 * WORDS * sizeof(uintptr_t));
    if (!learn_table(S, lay, words, words + WORDS, why)) return false;
    *why = "the C function call's code is not the one we know";
    return vm_decode_funcc(lay, lay->func_handler[0][6]) && check_running(S, lay);
}
