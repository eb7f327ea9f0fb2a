/*
 * What is learned about the LuaJIT of this process, and a VM of it.
 */
#ifndef LJINSPECT_VM_LAYOUT_H
#define LJINSPECT_VM_LAYOUT_H

#include "vm_object.h"
#include "vm_ops.h"

enum { VM_SLOTS_MAX = 512, VM_FUNC_SLOTS = 8 };

/* True of every VM of this LuaJIT. */
typedef struct vm_layout {
    unsigned dynamic_len; /* dispatch slots that the interpreter uses: opcodes and fast functions */
    unsigned static_len;  /* opcodes below FUNCF; the static half has as many slots */
    unsigned static_at;   /* slot at which the static half begins */
    ptrdiff_t g_dispatch, g_hookmask, g_dispatchmode, g_hookcount, g_cur_l, g_vmstate, g_gcroot; /* from global_State */
    uintptr_t inshook, callhook, rethook;
    uintptr_t handler[VM_SLOTS_MAX];          /* of each opcode below FUNCF, the counting variants excepted */
    uintptr_t func_handler[2][VM_FUNC_SLOTS]; /* FUNCF to FUNCCW: JIT off, JIT on */
    int32_t vmstate_interp;
    uint8_t number[VM_OP__COUNT]; /* opcode number of a name; 0 also for the unknown, see `has` */
    bool has[VM_OP__COUNT];
    uint8_t name[256]; /* vm_op of an opcode number */
    bool has_jit;
    bool has_integers;              /* small integers have a representation of their own (LJ_DUALNUM) */
    uint8_t flag_nojit, flag_iloop; /* bits of GCproto.flags; 0 where the JIT is compiled out */
    bool has_traces;                /* compiled code can be told apart (vm_trace.c); else all of it must be dropped */
    uint8_t ir_kgc;                 /* IR opcode of a constant object */
    lua_CFunction string_dump, jit_on, jit_off;
    int bc_event;         /* index of this event's handler in registry._VMEVENTS; 0: compiled out */
    ptrdiff_t g_vmevmask; /* cache of the events that have a handler */
} vm_layout;

/* One VM of the program. */
typedef struct vm {
    const vm_layout *lay;
    char *g;
    uintptr_t *dispatch;
} vm;

#endif
