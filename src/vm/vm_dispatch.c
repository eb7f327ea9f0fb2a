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

/* ---- Machine code ------------------------------------------------------------------------------------------------ */

/* A pattern: bytes, ANY for one that does not matter, DISP(n) for four that are noted as number n. */
#define ANY (-1)
#define ANY4 ANY, ANY, ANY, ANY
#define DISP(n) (-2 - (n)), ANY, ANY, ANY

static bool matches(const uint8_t *code, const int *pattern, size_t len, int32_t *disp) {
    for (size_t i = 0; i < len; i++) {
        if (pattern[i] >= 0 && code[i] != pattern[i]) return false;
        if (pattern[i] < ANY) disp[-2 - pattern[i]] = vm_i32(code, (ptrdiff_t)i);
    }
    return true;
}

/*
 * vm_x64.dasc, vm_inshook: the code whose conventions the stubs copy. It shows them all: L at [rsp+16], BASE in rdx
 * saved to L->base, PC in rbx, DISPATCH in r14, A to ecx, opcode to ebp, D to eax, jump through the static half.
 */
enum { HOOKMASK, HOOKCOUNT, STATIC };
/* clang-format off */
static const int INSHOOK[] = {
    0x41, 0x0f, 0xb6, 0x86, DISP(HOOKMASK),     /* movzx eax, byte [r14+hookmask]    */
    0xa8, VM_HOOK_ACTIVE,                       /* test al, HOOK_ACTIVE              */
    0x75, ANY,                                  /* jnz  (dispatch)                   */
    0xa8, LUA_MASKLINE | LUA_MASKCOUNT,         /* test al, LINE|COUNT               */
    0x74, ANY,                                  /* jz   (dispatch)                   */
    0x41, 0xff, 0x8e, DISP(HOOKCOUNT),          /* dec  dword [r14+hookcount]        */
    0x74, ANY,                                  /* jz   (call)                       */
    0xa8, LUA_MASKLINE,                         /* test al, LINE                     */
    0x74, ANY,                                  /* jz   (dispatch)                   */
    0x48, 0x8b, 0x6c, 0x24, 8 * VM_CFRAME_L,    /* mov  rbp, [rsp+16]         (call) */
    0x48, 0x89, 0x55, VM_L_BASE,                /* mov  [rbp+base], rdx              */
    0x48, 0x89, 0xde,                           /* mov  rsi, rbx                     */
    0x48, 0x89, 0xef,                           /* mov  rdi, rbp                     */
    0xe8, ANY4,                                 /* call lj_dispatch_ins              */
    0x48, 0x8b, 0x55, VM_L_BASE,                /* mov  rdx, [rbp+base]              */
    0x0f, 0xb6, 0x4b, 0xfd,                     /* movzx ecx, byte [rbx-3]           */
    0x0f, 0xb6, 0x6b, 0xfc,                     /* movzx ebp, byte [rbx-4] (dispatch)*/
    0x0f, 0xb7, 0x43, 0xfe,                     /* movzx eax, word [rbx-2]           */
    0x41, 0xff, 0xa4, 0xee, DISP(STATIC),       /* jmp  [r14+rbp*8+static]           */
};
/* clang-format on */
enum { INSHOOK_LEN = sizeof(INSHOOK) / sizeof(INSHOOK[0]), ENDBR_LEN = 4 };

static bool decode_inshook(vm_layout *lay, const uint8_t *code) {
    uint8_t copy[ENDBR_LEN + INSHOOK_LEN];
    int32_t disp[3];
    if (!vm_read(code, copy, sizeof(copy))) return false;
    bool endbr = memcmp(copy, "\xf3\x0f\x1e\xfa", ENDBR_LEN) == 0;
    if (!matches(copy + (endbr ? ENDBR_LEN : 0), INSHOOK, INSHOOK_LEN, disp)) return false;
    lay->g_hookmask = lay->g_dispatch + disp[HOOKMASK];
    lay->g_hookcount = lay->g_dispatch + disp[HOOKCOUNT];
    if (disp[STATIC] <= 0 || disp[STATIC] % (int)sizeof(uintptr_t) != 0) return false;
    lay->static_at = lay->dynamic_len = (unsigned)disp[STATIC] / (unsigned)sizeof(uintptr_t);
    return true;
}

/* vm_x64.dasc, BC_FUNCC: after the call it sets cur_L and the VM state, as must whoever returns to the interpreter. */
enum { CUR_L, VMSTATE, INTERP };
/* clang-format off */
static const int FUNCC[] = {
    0x48, 0x8b, 0x55, VM_L_BASE,                        /* mov rdx, [rbp+base]        */
    0x49, 0x89, 0xae, DISP(CUR_L),                      /* mov [r14+cur_L], rbp       */
    0x41, 0xc7, 0x86, DISP(VMSTATE), DISP(INTERP),      /* mov dword [r14+vmstate], n */
};
/* clang-format on */
enum { FUNCC_LEN = sizeof(FUNCC) / sizeof(FUNCC[0]) };

static bool decode_funcc(vm_layout *lay, const uint8_t *code) {
    uint8_t copy[160];
    int32_t disp[3];
    if (!vm_read(code, copy, sizeof(copy))) return false;
    for (size_t i = 0; i + FUNCC_LEN <= sizeof(copy); i++) {
        if (!matches(copy + i, FUNCC, FUNCC_LEN, disp)) continue;
        lay->g_cur_l = lay->g_dispatch + disp[CUR_L];
        lay->g_vmstate = lay->g_dispatch + disp[VMSTATE];
        lay->vmstate_interp = disp[INTERP];
        return true;
    }
    return false;
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
    if (!decode_inshook(lay, (const uint8_t *)lay->inshook)) return false;
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
    return decode_funcc(lay, (const uint8_t *)lay->func_handler[0][6]) && check_running(S, lay);
}
