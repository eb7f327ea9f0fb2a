/*
 * Prototypes, and the list of all objects that finds every one of them.
 */
#ifndef LJINSPECT_VM_PROTO_H
#define LJINSPECT_VM_PROTO_H

#include "vm_layout.h"

typedef struct vm_proto vm_proto; /* a GCproto; its bytecode follows it */

enum {
    VM_PT_NUMPARAMS = 10,
    VM_PT_FRAMESIZE = 11,
    VM_PT_SIZEBC = 12,
    VM_PT_FLAGS = 61,
    VM_PT_CHUNKNAME = 64,
    VM_PT_FIRSTLINE = 72,
    VM_PT_NUMLINE = 76,
    VM_PT_LINEINFO = 80,
    VM_PT_SIZE = 104
};

static inline vm_ins *vm_proto_code(const vm_proto *pt) {
    return (vm_ins *)((uintptr_t)pt + VM_PT_SIZE);
}
static inline uint32_t vm_proto_size(const vm_proto *pt) {
    return vm_u32(pt, VM_PT_SIZEBC);
}
static inline int vm_proto_first_line(const vm_proto *pt) {
    return vm_i32(pt, VM_PT_FIRSTLINE);
}
static inline int vm_proto_num_lines(const vm_proto *pt) {
    return vm_i32(pt, VM_PT_NUMLINE);
}
static inline bool vm_proto_stripped(const vm_proto *pt) {
    return vm_ptr(pt, VM_PT_LINEINFO) == NULL;
}
static inline const char *vm_proto_source(const vm_proto *pt, size_t *len) {
    const char *s = vm_ptr(pt, VM_PT_CHUNKNAME);
    *len = vm_u32(s, VM_STR_LEN);
    return s + VM_STR_DATA;
}
/* The prototype of a function object; NULL for a C function. */
vm_proto *vm_func_proto(const vm_layout *lay, const void *func);
/* The line of instruction `index` (0 is the function header); 0 where the debug info was stripped. */
int vm_proto_line(const vm_proto *pt, uint32_t index);
/* True if some instruction but the header is on the line. */
bool vm_proto_has_line(const vm_proto *pt, int line);

/* Visit objects of a type (all types where it is negative), newest first, all or down to (not including) the object
 * `stop`; dead ones that the collector has not freed yet are left out. `white` is the colour of a new object:
 * vm_gc_white(). `visit` must not run the collector; false ends the walk. */
typedef bool (*vm_visit_fn)(void *object, void *arg);
void vm_walk(const vm *v, uint8_t white, int type, const void *stop, vm_visit_fn visit, void *arg);
/* The colour of new objects; pushes the new table it looked at. May raise a memory error. */
uint8_t vm_gc_white(lua_State *L);

#endif
