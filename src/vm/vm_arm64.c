/*
 * The interpreter's machine code, arm64: recognising it, and taking from it what it says.
 *
 * Built with branch protection (-mbranch-protection: lj_arch.h, LJ_ABI_BRANCH_TRACK), what is jumped to begins with a
 * landing pad. With signed code pointers (LJ_ABI_PAUTH: slots of the dispatch table are signed, the jumps authenticate)
 * the code is another, and so refused: stubs would have to be signed as well.
 */
#if defined(__aarch64__)

#include <lua.h>

#include "vm_learn.h"

/* An instruction: what must be as it is. */
typedef struct word {
    uint32_t bits, mask;
} word;

/* Loads and stores at a positive offset: it may be any, and counts in units of the access. */
#define ANY_OFFSET 0xffc003ff
#define OFFSET(code) ((code) >> 10 & 0xfff)
#define ANY_TARGET_26 0xfc000000
#define ANY_TARGET_19 0xff00001f
#define ANY_TARGET_14 0xfff8001f
#define EXACT 0xffffffff
enum { BTI_J = (int)0xd503249f, BTI_JC = (int)0xd50324df };

static bool matches(const uint32_t *code, const word *pattern, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((code[i] & pattern[i].mask) != pattern[i].bits) return false;
    }
    return true;
}

static bool is_landing_pad(uint32_t code) {
    return code == (uint32_t)BTI_J || code == (uint32_t)BTI_JC;
}

/* How many instructions a branch with a target of `width` bits from bit 5 on goes on or back. */
static int branch(uint32_t code, int width) {
    int32_t to = (int32_t)(code << (32 - 5 - width));
    return to >> (32 - width);
}

/*
 * vm_arm64.dasc, vm_inshook: the code whose conventions the stubs copy. It shows them all: L in x23, BASE in x19 saved to
 * L->base, PC in x21, global_State in x22, the instruction in w16, A to x27, D to x28, and in x9 what the static slot is
 * found by. The two instructions before it, to which it goes on where no hook is to be called, rely on that x9.
 */
enum { BEFORE = 2 };
static const word REDISPATCH[BEFORE] = {
    {0xf9400128, ANY_OFFSET}, /* ldr x8, [x9, #static] */
    {0xd61f0100, EXACT},      /* br x8 */
};
enum { I_MASK, I_COUNT, I_ACTIVE, I_NONE = 4, I_STORE = 6, I_LINE = 8, I_STATIC = 17 };
static const word INSHOOK[] = {
    {0x394002ca, ANY_OFFSET},             /* ldrb w10, [x22, #hookmask] */
    {0xb94002cb, ANY_OFFSET},             /* ldr w11, [x22, #hookcount] */
    {0x3720000a, ANY_TARGET_14},          /* tbnz w10, #4 (HOOK_ACTIVE), redispatch */
    {0x721e055f, EXACT},                  /* tst w10, #LINE|COUNT */
    {0x54000000, ANY_TARGET_19},          /* b.eq redispatch */
    {0x5100056b, EXACT},                  /* sub w11, w11, #1 */
    {0xb90002cb, ANY_OFFSET},             /* str w11, [x22, #hookcount] */
    {0x3400004b, EXACT},                  /* cbz w11, call */
    {0x3610000a, ANY_TARGET_14},          /* tbz w10, #2 (LINE), redispatch */
    {0xaa1703e0, EXACT},                  /* mov x0, x23 (call) */
    {0xf90002f3 | VM_L_BASE << 7, EXACT}, /* str x19, [x23, #base] */
    {0xaa1503e1, EXACT},                  /* mov x1, x21 */
    {0x94000000, ANY_TARGET_26},          /* bl lj_dispatch_ins */
    {0xf94002f3 | VM_L_BASE << 7, EXACT}, /* ldr x19, [x23, #base] */
    {0xb85fc2b0, EXACT},                  /* ldur w16, [x21, #-4] */
    {0x8b300ec9, EXACT},                  /* add x9, x22, w16, uxtb #3 */
    {0xd3483e1b, EXACT},                  /* ubfx x27, x16, #8, #8 */
    {0xf9400128, ANY_OFFSET},             /* ldr x8, [x9, #static] */
    {0xd3507e1c, EXACT},                  /* ubfx x28, x16, #16, #16 */
    {0xd61f0100, EXACT},                  /* br x8 */
};
enum { INSHOOK_LEN = sizeof(INSHOOK) / sizeof(INSHOOK[0]) };

_Static_assert(VM_HOOK_ACTIVE == 0x10 && LUA_MASKLINE == 4 && LUA_MASKCOUNT == 8, "bits tested above");

bool vm_decode_inshook(vm_layout *lay, uintptr_t code) {
    uint32_t copy[BEFORE + 1 + INSHOOK_LEN];
    if (!vm_read((const void *)(code - sizeof(uint32_t) * BEFORE), copy, sizeof(copy))) return false;
    int pad = is_landing_pad(copy[BEFORE]);
    const uint32_t *hook = copy + BEFORE + pad;
    if (!matches(copy, REDISPATCH, BEFORE) || !matches(hook, INSHOOK, INSHOOK_LEN)) return false;
    int back = -(BEFORE + pad);
    if (branch(hook[I_ACTIVE], 14) != back - I_ACTIVE || branch(hook[I_NONE], 19) != back - I_NONE ||
        branch(hook[I_LINE], 14) != back - I_LINE) {
        return false;
    }
    if (OFFSET(hook[I_COUNT]) != OFFSET(hook[I_STORE]) || OFFSET(copy[0]) != OFFSET(hook[I_STATIC])) return false;
    lay->g_hookmask = OFFSET(hook[I_MASK]);
    lay->g_hookcount = OFFSET(hook[I_COUNT]) * (ptrdiff_t)sizeof(int32_t);
    ptrdiff_t fixed = OFFSET(hook[I_STATIC]) * (ptrdiff_t)sizeof(uintptr_t) - lay->g_dispatch;
    if (fixed <= 0 || fixed % (ptrdiff_t)sizeof(uintptr_t) != 0) return false;
    lay->static_at = lay->dynamic_len = (unsigned)((size_t)fixed / sizeof(uintptr_t));
    return true;
}

/*
 * vm_arm64.dasc, BC_FUNCC: what registers hold at a function header, and that cur_L and the VM state are set after the
 * call, as must whoever returns to the interpreter. The function in x2, arguments in bytes in x28, the end of the frame in
 * x27; w26 is always -1, the state "in the interpreter".
 */
enum { F_LEAVE = 9, F_CUR_L = 12, F_ENTER = 14 };
static const word FUNCC[] = {
    {0xf9400043 | VM_FUNC_F << 7, EXACT},     /* ldr x3, [x2, #f] */
    {0x8b1c0361, EXACT},                      /* add x1, x27, x28 */
    {0xf94002e0 | VM_L_MAXSTACK << 7, EXACT}, /* ldr x0, [x23, #maxstack] */
    {0x8b1c027c, EXACT},                      /* add x28, x19, x28 */
    {0xeb00003f, EXACT},                      /* cmp x1, x0 */
    {0xa90072f3 | VM_L_BASE << 12, EXACT},    /* stp x19, x28, [x23, #base] */
    {0x12800028, EXACT},                      /* mov w8, #-2 */
    {0xaa1703e0, EXACT},                      /* mov x0, x23 */
    {0x54000008, ANY_TARGET_19},              /* b.hi (grow the stack) */
    {0xb90002c8, ANY_OFFSET},                 /* str w8, [x22, #vmstate] */
    {0xd63f0060, EXACT},                      /* blr x3 */
    {0xa94026f3 | VM_L_BASE << 12, EXACT},    /* ldp x19, x9, [x23, #base] */
    {0xf90002d7, ANY_OFFSET},                 /* str x23, [x22, #cur_L] */
    {0x937d7c1c, EXACT},                      /* sbfiz x28, x0, #3, #32 */
    {0xb90002da, ANY_OFFSET},                 /* str w26, [x22, #vmstate] */
};
enum { FUNCC_LEN = sizeof(FUNCC) / sizeof(FUNCC[0]) };

_Static_assert(VM_L_TOP == VM_L_BASE + 8, "base and top are stored and loaded together");

bool vm_decode_funcc(vm_layout *lay, uintptr_t code) {
    uint32_t copy[1 + FUNCC_LEN];
    if (!vm_read((const void *)code, copy, sizeof(copy))) return false;
    const uint32_t *call = copy + is_landing_pad(copy[0]);
    if (!matches(call, FUNCC, FUNCC_LEN) || OFFSET(call[F_LEAVE]) != OFFSET(call[F_ENTER])) return false;
    lay->g_cur_l = OFFSET(call[F_CUR_L]) * (ptrdiff_t)sizeof(uintptr_t);
    lay->g_vmstate = OFFSET(call[F_ENTER]) * (ptrdiff_t)sizeof(int32_t);
    lay->vmstate_interp = ~VM_STATE_INTERP;
    return true;
}

#endif
