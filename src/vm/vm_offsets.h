/*
 * Offsets and numbers of a GC64 build, and reading fields at them: of a VM in this process, or of a copy of another
 * process's memory. Nothing here needs a VM or lua.h. Names are those of lj_obj.h. Who uses an offset checks it first:
 * on a scratch VM (vm_layout.c), or against what is found beside it (src/remote).
 */
#ifndef LJINSPECT_VM_OFFSETS_H
#define LJINSPECT_VM_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vm_arm64.h"
#include "vm_x64.h"

/* The interpreter's C frame on this processor; src/remote knows others'. */
#if defined(__aarch64__)
#define VM_CFRAME(field) VM_ARM64_CFRAME_##field
#else
#define VM_CFRAME(field) VM_X64_CFRAME_##field
#endif
enum {
    VM_CFRAME_PREV = VM_CFRAME(PREV),
    VM_CFRAME_PC = VM_CFRAME(PC),
    VM_CFRAME_L = VM_CFRAME(L),
    VM_CFRAME_MULTRES = VM_CFRAME(MULTRES),
    VM_CFRAME_SIZE = VM_CFRAME(SIZE)
};

/* How many results the last instruction that leaves an open number of them has left. */
static inline uint32_t vm_cframe_results(const uintptr_t *frame) {
    return ((uint32_t)frame[VM_CFRAME_MULTRES] >> VM_CFRAME(SHIFT_MULTRES)) - 1;
}

/* lua_State */
enum { VM_L_GLREF = 16, VM_L_BASE = 32, VM_L_TOP = 40, VM_L_MAXSTACK = 48, VM_L_STACK = 56, VM_L_CFRAME = 80 };
/* The head of every collectable object: next object, colour, type. */
enum { VM_GC_NEXT = 0, VM_GC_MARKED = 8, VM_GC_TYPE = 9 };
enum {
    VM_TYPE_STRING = 4,
    VM_TYPE_THREAD = 6,
    VM_TYPE_PROTO = 7,
    VM_TYPE_FUNC = 8,
    VM_TYPE_TRACE = 9,
    VM_TYPE_CDATA = 10,
    VM_TYPE_TABLE = 11
};
/* GCfunc: environment; bytecode of a Lua function, or of the C function header; C function pointer. GCstr: length,
 * text. GCtab: metatable. */
enum { VM_FUNC_ENV = 16, VM_FUNC_PC = 32, VM_FUNC_F = 40, VM_STR_LEN = 20, VM_STR_DATA = 24, VM_TAB_METATABLE = 32 };
/* GCfunc: number of a built-in function, 0 and 1 for the Lua and C functions of others (lj_obj.h: FF_LUA, FF_C). */
enum { VM_FUNC_FFID = 10 };
/* Stack frames (lj_frame.h): a slot with the function, then one with the return address, or with the distance to the
 * frame below and these in its low bits. */
enum {
    VM_FRAME_LUA,
    VM_FRAME_C,
    VM_FRAME_CONT,
    VM_FRAME_VARG,
    VM_FRAME_CP = 5,
    VM_FRAME_PCALL = 6,
    VM_FRAME_PCALLH = 7,
    VM_FRAME_TYPE = 3,
    VM_FRAME_TYPEP = 7
};
/* global_State, as far as it is the same in all builds known since 2022; its end differs. GCState begins with the
 * total. hookmask is followed by dispatchmode. lua_State: status. */
enum {
    VM_G_GC_TOTAL = 16,
    VM_G_GC_THRESHOLD = 24,
    VM_G_GC_ROOT = 40,
    VM_G_STREMPTY = 120,
    VM_G_HOOKMASK = 145,
    VM_G_VMSTATE = 184,
    VM_G_MAINTHREF = 192,
    VM_G_REGISTRY = 272,
    VM_L_STATUS = 11,
    VM_L_STACKSIZE = 88
};
/* global_State.vmstate (lj_obj.h): a trace's number, or the complement of one of these. */
enum { VM_STATE_INTERP, VM_STATE_C, VM_STATE_GC, VM_STATE_EXIT, VM_STATE_RECORD, VM_STATE_OPT, VM_STATE_ASM };
/* Bits of global_State.hookmask above LUA_MASK*, and of dispatchmode (lj_dispatch.c). */
enum { VM_HOOK_ACTIVE = 0x10, VM_HOOK_VMEVENT = 0x20, VM_HOOK_GC = 0x40 };
enum { VM_MODE_CALL = 0x01, VM_MODE_RET = 0x02, VM_MODE_INS = 0x04, VM_MODE_JIT = 0x10, VM_MODE_REC = 0x20 };
/* Value of global_State.vmevmask that makes LuaJIT look for event handlers again (lj_vmevent.h); where they hang. */
enum { VM_EVENTS_UNKNOWN = 255 };
#define VM_EVENTS_KEY "_VMEVENTS"

/* GCproto. Its bytecode follows it. */
enum {
    VM_PT_NUMPARAMS = 10,
    VM_PT_FRAMESIZE = 11,
    VM_PT_SIZEBC = 12,
    VM_PT_K = 32,
    VM_PT_SIZEKGC = 48,
    VM_PT_SIZEPT = 56,
    VM_PT_SIZEUV = 60,
    VM_PT_FLAGS = 61,
    VM_PT_CHUNKNAME = 64,
    VM_PT_FIRSTLINE = 72,
    VM_PT_NUMLINE = 76,
    VM_PT_LINEINFO = 80,
    VM_PT_UVINFO = 88,
    VM_PT_VARINFO = 96,
    VM_PT_SIZE = 104
};

/* GCtrace. */
enum {
    VM_TR_NSNAP = 10,
    VM_TR_NINS = 12,
    VM_TR_IR = 32,
    VM_TR_NK = 40,
    VM_TR_NSNAPMAP = 44,
    VM_TR_SNAP = 48,
    VM_TR_SNAPMAP = 56,
    VM_TR_STARTPT = 64,
    VM_TR_STARTPC = 72,
    VM_TR_STARTINS = 80,
    VM_TR_SZMCODE = 84,
    VM_TR_MCODE = 88,
    VM_TR_MCLOOP = 96,
    VM_TR_TRACENO = 104,
    VM_TR_LINK = 106,
    VM_TR_ROOT = 108,
    VM_TR_NEXTROOT = 110,
    VM_TR_NEXTSIDE = 112,
    VM_TR_LINKTYPE = 116,
    VM_TR_SIZE = 120 /* at least */
};

/* The heap (lj_obj.h, lj_gc.c, lj_ctype.h): what refers to what, and how large it is. The same in LuaJIT of 2022 and 2026
 * and in OpenResty's of 2024; src/remote adds the sizes up and compares them with what the VM says it has allocated. */
enum { VM_TYPE_UPVALUE = 5, VM_TYPE_USERDATA = 12 };
enum { VM_GC_WHITES = 0x03, VM_GC_IS_FIXED = 0x20 }; /* of the colour; fixed: never to be collected */
enum { VM_G_WHITE = 32 };                            /* of new objects; the other white is that of dead ones */
enum { VM_L_OPENUPVAL = 64, VM_L_ENV = 72 };
/* Userdata to be finalized, a ring; string table; buffer for strings (SBuf: write position, end, begin). */
enum { VM_G_MMUDATA = 80, VM_G_STRTAB = 152, VM_G_STRMASK = 160, VM_G_TMPBUF = 200 };
enum { VM_SBUF_W = 0, VM_SBUF_E = 8, VM_SBUF_B = 16, VM_SBUF_L = 24 };
/* From cur_L: C types; the array of roots, behind the state of the random generator. It has the names of metamethods,
 * metatables of the basic types, standard input and output, and since 2023 the FFI's finalizers. */
enum { VM_CUR_L_CTYPES = 16, VM_CUR_L_ROOTS = 56, VM_ROOT_METATABLES = 14, VM_ROOTS_MAX = 64 };
enum { VM_CTS_TAB = 0, VM_CTS_TOP = 8, VM_CTS_SIZETAB = 12, VM_CTS_L = 16, VM_CTS_G = 24, VM_CTS_SIZE = 32 };
enum { VM_CT_INFO = 0, VM_CT_SIZE = 4, VM_CT_BYTES = 24, VM_CT_ATTRIB = 8, VM_CT_KIND_SHIFT = 28 };
enum { VM_UV_CLOSED = 10, VM_UV_TV = 16, VM_UV_V = 32, VM_UV_BYTES = 48 };
enum { VM_TAB_COLO = 11, VM_TAB_ARRAY = 16, VM_TAB_NODE = 40, VM_TAB_ASIZE = 48, VM_TAB_HMASK = 52, VM_TAB_BYTES = 64 };
enum { VM_NODE_VALUE = 0, VM_NODE_KEY = 8, VM_NODE_BYTES = 24 };
enum { VM_FUNC_NUPVALUES = 11, VM_FUNC_UPVALUES = 40, VM_FUNC_C_UPVALUES = 48 };
enum { VM_PT_TRACE = 62, VM_PT_NOJIT = 0x08 /* of the flags */ };
enum { VM_UD_TYPE = 10, VM_UD_ENV = 16, VM_UD_LEN = 24, VM_UD_METATABLE = 32, VM_UD_BYTES = 48 };
/* A string.buffer lies behind its userdata: SBufExt; its SBuf's L has flags for memory that is not its own. */
enum {
    VM_UD_BUFFER = 3,
    VM_BUF_NOT_OWN = 6,
    VM_BUF_COW = 32,
    VM_BUF_DICT_STR = 48,
    VM_BUF_DICT_MT = 56,
    VM_BUF_BYTES = 72
};
/* cdata of variable length has a head before it: where the allocation begins, extra bytes, length. */
enum { VM_CD_TYPE = 10, VM_CD_BYTES = 16, VM_CD_IS_VAR = 0x80, VM_CD_VAR_EXTRA = -6, VM_CD_VAR_LEN = -4 };

/* ---- Fields ---- */

static inline void *vm_ptr(const void *object, ptrdiff_t offset) {
    void *p;
    memcpy(&p, (const char *)object + offset, sizeof(p));
    return p;
}
static inline void vm_set_ptr(void *object, ptrdiff_t offset, const void *value) {
    memcpy((char *)object + offset, &value, sizeof(value));
}
static inline uint8_t vm_u8(const void *object, ptrdiff_t offset) {
    return ((const uint8_t *)object)[offset];
}
static inline unsigned vm_u16(const void *object, ptrdiff_t offset) {
    uint16_t v;
    memcpy(&v, (const char *)object + offset, sizeof(v));
    return v;
}
static inline uint32_t vm_u32(const void *object, ptrdiff_t offset) {
    uint32_t v;
    memcpy(&v, (const char *)object + offset, sizeof(v));
    return v;
}
static inline uint64_t vm_u64(const void *object, ptrdiff_t offset) {
    uint64_t v;
    memcpy(&v, (const char *)object + offset, sizeof(v));
    return v;
}
static inline int32_t vm_i32(const void *object, ptrdiff_t offset) {
    return (int32_t)vm_u32(object, offset);
}

/* ---- Values ---- */

enum { VM_TAG_SHIFT = 47 };
#define VM_ADDRESS_MASK ((UINT64_C(1) << VM_TAG_SHIFT) - 1)

/* The tag of a value (LJ_GC64: 17 bits above the address). Numbers have none: their highest bits are never all set, but
 * for a NaN with its sign set, which LuaJIT never makes. */
static inline bool vm_is_double(uint64_t value) {
    return value < UINT64_C(0xfff8000000000000);
}
static inline int vm_type_of(uint64_t value) {
    return vm_is_double(value) ? -1 : (int)(~value >> 47);
}

#endif
