/*
 * Objects of a GC64 build: offsets of their fields, reading them, values. Each offset is checked on a scratch VM before
 * it is used (vm_layout.c). Names are those of lj_obj.h.
 */
#ifndef LJINSPECT_VM_OBJECT_H
#define LJINSPECT_VM_OBJECT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
/* C frame of the interpreter, in words from its stack pointer. MULTRES is the low half of word 0. */
enum { VM_CFRAME_MULTRES = 0, VM_CFRAME_L = 2, VM_CFRAME_PC = 3 };
/* Bits of global_State.hookmask above LUA_MASK*, and of dispatchmode (lj_dispatch.c). */
enum { VM_HOOK_ACTIVE = 0x10, VM_HOOK_VMEVENT = 0x20, VM_HOOK_GC = 0x40 };
enum { VM_MODE_CALL = 0x01, VM_MODE_RET = 0x02, VM_MODE_INS = 0x04, VM_MODE_JIT = 0x10, VM_MODE_REC = 0x20 };
/* Value of global_State.vmevmask that makes LuaJIT look for event handlers again (lj_vmevent.h); where they hang. */
enum { VM_EVENTS_UNKNOWN = 255 };
#define VM_EVENTS_KEY "_VMEVENTS"

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
static inline int32_t vm_i32(const void *object, ptrdiff_t offset) {
    return (int32_t)vm_u32(object, offset);
}

static inline char *vm_base(lua_State *L) {
    return vm_ptr(L, VM_L_BASE);
}
static inline char *vm_top(lua_State *L) {
    return vm_ptr(L, VM_L_TOP);
}
/* Push the `n` stack slots that begin at `slot`; there is room for them above the top. */
static inline void vm_push_slots(lua_State *L, const char *slot, int n) {
    size_t size = (size_t)n * sizeof(uint64_t);
    memcpy(vm_top(L), slot, size);
    vm_set_ptr(L, VM_L_TOP, vm_top(L) + size);
}
/* Free stack slots above the top before the stack must grow. */
static inline ptrdiff_t vm_stack_left(lua_State *L) {
    return ((char *)vm_ptr(L, VM_L_MAXSTACK) - vm_top(L)) / (ptrdiff_t)sizeof(lua_Number);
}
/* The interpreter's C frame of L, in words. */
static inline uintptr_t *vm_cframe(lua_State *L) {
    return (uintptr_t *)((uintptr_t)vm_ptr(L, VM_L_CFRAME) & ~(uintptr_t)3);
}

/* ---- Values ---- */

/* The tag of a value (LJ_GC64: 17 bits above the address). Numbers have none: their highest bits are never all set, but
 * for a NaN with its sign set, which LuaJIT never makes. */
static inline bool vm_is_double(uint64_t value) {
    return value < UINT64_C(0xfff8000000000000);
}
static inline int vm_type_of(uint64_t value) {
    return vm_is_double(value) ? -1 : (int)(~value >> 47);
}

/* Push a collectable object that the Lua API has no function for (a prototype). Needs one free stack slot. */
void vm_push_object(lua_State *L, const void *object, int type);

#endif
