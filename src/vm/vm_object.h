/*
 * Objects of this process's VMs: reading states, the interpreter's C frame. Each offset (vm_offsets.h) is checked on a
 * scratch VM before it is used (vm_layout.c).
 */
#ifndef LJINSPECT_VM_OBJECT_H
#define LJINSPECT_VM_OBJECT_H

#include <lua.h>

#include "vm_offsets.h"

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

/* Push a collectable object that the Lua API has no function for (a prototype). Needs one free stack slot. */
void vm_push_object(lua_State *L, const void *object, int type);

#endif
