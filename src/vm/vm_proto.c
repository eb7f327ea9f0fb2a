/*
 * Prototypes: line tables, and finding every one in the VM.
 *
 * All collectable objects but strings hang in one list whose head is global_State.gc.root; new ones are put in front
 * (lj_gc.c: lj_mem_newgco), userdata behind the main thread (lj_udata.c: lj_udata_new).
 */
#include "vm.h"

enum { GC_WHITES = 3 };

vm_proto *vm_func_proto(const vm_layout *lay, const void *func) {
    const vm_ins *pc = vm_ptr(func, VM_FUNC_PC);
    uint8_t header = lay->name[VM_INS_OP(*pc)];
    if (header < VM_FUNCF || header > VM_JFUNCV) return NULL;
    return (vm_proto *)((uintptr_t)pc - VM_PT_SIZE);
}

/* lj_debug.c: lj_debug_line. The table has an entry for each instruction but the header, as wide as the function is
 * long. */
int vm_proto_line(const vm_proto *pt, uint32_t index) {
    const char *info = vm_ptr(pt, VM_PT_LINEINFO);
    int first = vm_proto_first_line(pt), lines = vm_proto_num_lines(pt);
    if (info == NULL) return 0;
    if (index == 0) return first;
    index--;
    if (lines < 256) return first + ((const uint8_t *)info)[index];
    if (lines < 65536) return first + ((const uint16_t *)(const void *)info)[index];
    return first + (int)((const uint32_t *)(const void *)info)[index];
}

bool vm_proto_has_line(const vm_proto *pt, int line) {
    int first = vm_proto_first_line(pt);
    if (vm_proto_stripped(pt) || line < first || line > first + vm_proto_num_lines(pt)) return false;
    uint32_t size = vm_proto_size(pt);
    if (vm_proto_num_lines(pt) < 256) {
        const uint8_t *info = vm_ptr(pt, VM_PT_LINEINFO);
        return size > 1 && memchr(info, line - first, size - 1) != NULL;
    }
    for (uint32_t i = 1; i < size; i++) {
        if (vm_proto_line(pt, i) == line) return true;
    }
    return false;
}

uint8_t vm_gc_white(lua_State *L) {
    lua_createtable(L, 0, 0);
    return vm_u8(lua_topointer(L, -1), VM_GC_MARKED) & GC_WHITES;
}

/* An object whose colour is the other white was not reached by the last mark phase and waits for its end
 * (lj_gc.h: isdead). */
void vm_walk(const vm *v, uint8_t white, int type, const void *stop, vm_visit_fn visit, void *arg) {
    uint8_t dead = white ^ GC_WHITES;
    for (char *o = vm_ptr(v->g, v->lay->g_gcroot); o != NULL && o != stop; o = vm_ptr(o, VM_GC_NEXT)) {
        if ((type >= 0 && vm_u8(o, VM_GC_TYPE) != type) || (vm_u8(o, VM_GC_MARKED) & GC_WHITES) == dead) continue;
        if (!visit(o, arg)) return;
    }
}
