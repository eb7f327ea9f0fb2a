/*
 * The interpreter's machine code, x86-64: recognising it, and taking from it what it says.
 */
#if defined(__x86_64__)

#include <lua.h>

#include "vm_learn.h"

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

bool vm_decode_inshook(vm_layout *lay, uintptr_t code) {
    uint8_t copy[ENDBR_LEN + INSHOOK_LEN];
    int32_t disp[3];
    if (!vm_read((const void *)code, copy, sizeof(copy))) return false;
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

bool vm_decode_funcc(vm_layout *lay, uintptr_t code) {
    uint8_t copy[160];
    int32_t disp[3];
    if (!vm_read((const void *)code, copy, sizeof(copy))) return false;
    for (size_t i = 0; i + FUNCC_LEN <= sizeof(copy); i++) {
        if (!matches(copy + i, FUNCC, FUNCC_LEN, disp)) continue;
        lay->g_cur_l = lay->g_dispatch + disp[CUR_L];
        lay->g_vmstate = lay->g_dispatch + disp[VMSTATE];
        lay->vmstate_interp = disp[INTERP];
        return true;
    }
    return false;
}

#endif
