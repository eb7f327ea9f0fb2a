/*
 * How it is learned: the steps of vm_learn(), in their order, on a scratch state in which the C function that calls
 * them was called in protected mode. Each returns false with a reason, may raise a memory error, and relies on what
 * those before it have found.
 */
#ifndef LJINSPECT_VM_LEARN_H
#define LJINSPECT_VM_LEARN_H

#include "vm.h"

bool vm_learn_state(lua_State *S, vm_layout *lay, const char **why);    /* vm_layout.c */
bool vm_learn_dispatch(lua_State *S, vm_layout *lay, const char **why); /* vm_dispatch.c */
bool vm_learn_ops(lua_State *S, vm_layout *lay, const char **why);      /* vm_ops.c */
bool vm_learn_protos(lua_State *S, vm_layout *lay, const char **why);   /* vm_layout.c */
bool vm_learn_jit(lua_State *S, vm_layout *lay, const char **why);      /* vm_jit.c */
/* Find out whether traces have the layout we know; compiles one. Not knowing them is no failure. vm_trace.c */
void vm_learn_traces(lua_State *S, vm_layout *lay);

/*
 * Whether the interpreter's machine code at an address is the one whose conventions the trap engine's stubs follow
 * (vm_x64.c, vm_arm64.c): the dispatch target for instruction hooks, which tells g_hookmask, g_hookcount and static_at
 * (g_dispatch is known); the handler of calls of C functions, which tells g_cur_l, g_vmstate and vmstate_interp.
 */
bool vm_decode_inshook(vm_layout *lay, uintptr_t code);
bool vm_decode_funcc(vm_layout *lay, uintptr_t code);

/* A debug hook for experiments; does nothing. */
void vm_no_hook(lua_State *S, lua_Debug *ar);

typedef enum vm_learned {
    VM_LEARNED,
    VM_UNKNOWN, /* not a LuaJIT we understand */
    VM_LATER    /* could not be tried now */
} vm_learned;

/* All steps, on a scratch VM of its own. */
vm_learned vm_learn_all(vm_layout *lay, const char **why);

/* Keep a pointer in the scratch VM's registry (a lua_CFunction: its argument is a vm_note), and get it back. */
typedef struct vm_note {
    const void *key;
    void *value;
} vm_note;
int vm_remember(lua_State *S);
void *vm_recall(lua_State *S, const void *key);

#endif
