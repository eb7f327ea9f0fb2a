/*
 * What we know of LuaJIT's insides.
 *
 * Two steps, so that nothing is tried on the program's VM:
 *   vm_learn()   makes a scratch VM of the very LuaJIT this process uses, experiments on it, and keeps what it found
 *                for the process: layout, dispatch table, opcode numbers, addresses of the interpreter's entry points.
 *   vm_attach()  compares a VM of the program with that, reading only.
 * Every check that fails leaves one sentence in `why`.
 *
 *   vm_ops.h     opcodes and instructions       vm_proto.h   prototypes, the list of all objects
 *   vm_object.h  states, objects, values        vm_trace.h   compiled code
 *   vm_layout.h  what is learned                vm_learn.h   how it is learned
 */
#ifndef LJINSPECT_VM_H
#define LJINSPECT_VM_H

#include "vm_layout.h"
#include "vm_object.h"
#include "vm_ops.h"
#include "vm_proto.h"
#include "vm_trace.h"

/* Learn, at the first call in the process; later calls return the same. NULL with a reason where this LuaJIT is not
 * understood, or where something was missing that may be there next time (memory, say): then the next call tries again.
 * Any thread, no locks. Takes about a millisecond. */
const vm_layout *vm_learn(const char **why);

/* Check that the VM of L is what vm_learn() learned about. Reads only. */
bool vm_attach(vm *v, lua_State *L, const char **why);

/* Copy `len` bytes from an address that may not be mapped. False where it is not, or where that cannot be told now
 * (no file descriptors left). */
bool vm_read(const void *from, void *to, size_t len);
/* The same, up to where something is not mapped: how many bytes were copied. */
size_t vm_read_some(const void *from, void *to, size_t len);

#endif
